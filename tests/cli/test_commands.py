"""The command line: its options are the configs' knobs, and what it runs is what was asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelmine.bundle import bundle_root
from labelmine.cli.overlays import CHOICES, choices_of, config_file, knobs_of, overlay_names, switches
from labelmine.cli.verbs import VERBS, Verb
from labelmine.run.declared import declared_knobs, top_level_keys
from labelmine.workflows.export import PURPOSES

CONFIG_VERBS = [verb for verb in VERBS if verb.config]
Command = Callable[..., Any]


def options_in(help_text: str) -> list[str]:
    return re.findall(r"^  --([\w-]+)", help_text, re.MULTILINE)


def test_each_workflow_has_one_verb() -> None:
    workflows = {file.stem for file in (bundle_root() / "configs").glob("*.yaml")} - set(overlay_names())
    assert sorted(verb.config for verb in CONFIG_VERBS) == sorted(workflows)


def test_overlays_are_found_by_name() -> None:
    assert choices_of("teacher") == ["compact", "hugging-face", "medsam", "sam"]
    assert choices_of("labeler")[0] == "prompted"
    assert {"self", "reference", "recorded", "mean-teacher", "weak-to-strong"} <= set(choices_of("labeler"))
    assert {"cpu", "multi_gpu"} <= set(switches())
    by_option = [f"{seam}_{one.replace('-', '_')}" for seam in CHOICES for one in choices_of(seam)[1:]]
    assert sorted([*by_option, *switches()]) == sorted(overlay_names())


@pytest.mark.parametrize("verb", CONFIG_VERBS, ids=lambda verb: verb.name)
def test_options_are_the_knobs_of_the_config(verb: Verb, labelmine: Command) -> None:
    shown = options_in(labelmine(verb.name, "--help").out)
    knobs = [knob.name for knob in declared_knobs(config_file(verb.config))]
    assert set(verb.positionals) <= set(knobs)
    assert [name for name in shown if name in knobs] == knobs, "all of them, in their order"
    others = {*verb.seams, *(name.replace("_", "-") for name in switches()), "overlay", "set", "debug", "help"}
    assert set(shown) - set(knobs) == others
    assert set(verb.seams) <= top_level_keys(config_file(verb.config)) - set(knobs)


@pytest.mark.parametrize("overlay", overlay_names())
def test_an_overlay_brings_its_knobs(overlay: str) -> None:
    seam = next((seam for seam in CHOICES if overlay.startswith(f"{seam}_")), None)
    for verb in CONFIG_VERBS:
        if seam is None or seam in verb.seams:
            base, both = (
                knobs_of([config_file(verb.config)]),
                knobs_of([config_file(verb.config), config_file(overlay)]),
            )
            assert [knob.name for knob in both[: len(base)]] == [knob.name for knob in base]
            assert not {"teacher", "labeler", "cached_teacher"} & {knob.name for knob in both}


def test_help_shows_sections_comments_and_defaults(labelmine: Command) -> None:
    text = " ".join(labelmine("mine", "--help").out.split())
    for knob in declared_knobs(config_file("mine")):
        assert " ".join(knob.help.split()) in text
        assert f"{knob.section[:1].upper()}{knob.section[1:]}:" in text
    assert "--seed NUMBER of all randomness [default: 0]" in text
    assert "[depends: cuda if there is a GPU else cpu]" in text
    assert "Usage: labelmine mine [OPTIONS] [DIR]" in text


def test_a_chosen_labeler_has_options_and_defaults_of_its_own(labelmine: Command) -> None:
    text = " ".join(labelmine("mine", "--labeler", "reference", "--help").out.split())
    assert "--k NUMBER neighbours that vote [default: 5]" in text
    assert "Of labeler_reference.yaml:" in text
    sam = labelmine("mine", "--teacher=sam", "--help").out
    assert "[default: sam_vit_b]" in " ".join(sam.split())
    done = labelmine("mine", "D", "--masks_dir", "2024", "--labeler", "recorded")
    assert done.files == ["mine", "labeler_recorded"]
    assert done.overrides == {"dataset_dir": "D", "masks_dir": "2024"}


def test_help_of_all_lists_the_verbs_in_order(labelmine: Command) -> None:
    done = labelmine("--help")
    assert re.findall(r"^  ([a-z][\w-]*)  ", done.out, re.MULTILINE) == [verb.name for verb in VERBS]


@pytest.mark.parametrize(
    ("args", "files", "overrides"),
    [
        (["mine"], ["mine"], {}),
        (["mine", "DIR"], ["mine"], {"dataset_dir": "DIR"}),
        (["mine", "--dataset-dir", "DIR"], ["mine"], {"dataset_dir": "DIR"}),
        (["mine", "--dataset_dir=DIR"], ["mine"], {"dataset_dir": "DIR"}),
        (["mine", "--dataset_dir", "null"], ["mine"], {"dataset_dir": None}),
        (["mine", "@home"], ["mine"], {"dataset_dir": "./@home"}),
        (["mine", "--gate", "false", "--learning-rate", "1e-4"], ["mine"], {"gate": False, "learning_rate": 1e-4}),
        (["mine", "--classes", "{liver: 1}", "--window", "[40,400]"], ["mine"],
         {"classes": {"liver": 1}, "window": [40, 400]}),
        (["mine", "--teacher", "sam"], ["mine", "teacher_sam"], {}),
        (["mine", "--teacher", "hugging-face"], ["mine", "teacher_hugging_face"], {}),
        (["mine", "--teacher", "hugging_face"], ["mine", "teacher_hugging_face"], {}),
        (["mine", "--teacher", "compact", "--labeler", "prompted"], ["mine"], {}),
        (["mine", "--cpu", "D", "--labeler", "mean-teacher"], ["mine", "labeler_mean_teacher", "cpu"],
         {"dataset_dir": "D"}),
        (["train", "--multi-gpu", "--cpu"], ["train", "cpu", "multi_gpu"], {}),
        (["mine", "--overlay", "labeler_self", "--cpu"], ["mine", "cpu", "labeler_self"], {}),
        (["mine", "--set", "teacher::multimask=true", "--set", "labeler::jitter=1e-2"], ["mine"],
         {"teacher::multimask": True, "labeler::jitter": 0.01}),
        (["mine", "--set", "dataset_dir=2024"], ["mine"], {"dataset_dir": "2024"}),
        (["predict", "D", "--model_dir", "OUT", "--refine"], ["inference"],
         {"dataset_dir": "D", "model_dir": "OUT", "refine": True}),
        (["predict", "--refine", "--tta", "false"], ["inference"], {"refine": True, "tta": False}),
        (["review", "OUT", "--dataset_dir", "D"], ["review"], {"model_dir": "OUT", "dataset_dir": "D"}),
        (["replay", "OUT"], ["replay"], {"run_dir": "OUT"}),
        (["export", "csv", "OUT", "F"], ["export"], {"form": "csv", "model_dir": "OUT", "output_dir": "F"}),
        (["export", "csv", "--image_files", "link"], ["export"], {"form": "csv", "image_files": "link"}),
        (["search-prompts", "OUT"], ["search_prompts"], {"model_dir": "OUT"}),
        (["search_prompts"], ["search_prompts"], {}),
        (["study", "--seeds", "[0,1]", "--fractions", "0.1"], ["study"], {"seeds": [0, 1], "fractions": 0.1}),
        (["train-teacher", "A", "B"], ["train_teacher"], {"dataset_dirs": ["A", "B"]}),
    ],
)  # fmt: skip
def test_what_is_run(args: list[str], files: list[str], overrides: dict[str, Any], labelmine: Command) -> None:
    done = labelmine(*args)
    assert (done.status, done.err) == (0, "")
    assert done.files == files
    assert done.overrides == overrides


def test_an_overlay_of_ones_own_brings_its_knobs(tmp_path: Path, labelmine: Command) -> None:
    (tmp_path / "mine_too.yaml").write_text("tau: 0.3\nsharpness: 2  # how sharp\nteacher: null\n+initialize: []\n")
    done = labelmine("mine", "--overlay", str(tmp_path / "mine_too.yaml"), "--sharpness", "3")
    assert done.files == ["mine", "mine_too"]
    assert done.overrides == {"sharpness": 3}
    shown = labelmine("mine", "--overlay", str(tmp_path / "mine_too.yaml"), "--help").out
    assert "how sharp  [default: 2]" in shown
    assert "[default: 0.3]" in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["mien"], "labelmine: No such verb 'mien'. Did you mean 'mine'?"),
        (["mine", "--max_epoch", "3"], "labelmine mine: No such option '--max_epoch'. Did you mean '--max_epochs'?"),
        (["mine", "--max-epoch", "3"], "No such option '--max_epoch'. Did you mean '--max_epochs'?"),
        (["mine", "--k", "3"], "No such option '--k'. It goes with --labeler reference."),
        (["mine", "--teacher::multimask", "1"], "Write --set teacher::multimask=VALUE."),
        (["train", "--labeler", "self"], "No such option '--labeler'."),
        (["mine", "--labeler", "selff"], "Invalid value for '--labeler': 'selff' is not one of"),
        (["mine", "--overlay", "cpv"], "expected an overlay's file or name, got 'cpv', which is neither; did you"),
        (["mine", "--seed", "DIR"], "Invalid value for '--seed': expected a number, got 'DIR'"),
        (["predict", "--refine", "DIR"], "Invalid value for '--refine': expected true or false, got 'DIR'"),
        (["mine", "DIR", "--dataset_dir", "DIR"], "dataset_dir is given twice"),
        (["mine", "--tau", "0.5", "--set", "tau=0.3"], "tau is given twice"),
        (["mine", "--set", "tau"], "--set: expected KEY=VALUE or KEY::SUB=VALUE, got 'tau'"),
        (["mine", "--set", "teachr::x=1"], "no config file of this run has the key 'teachr'; did you mean 'teacher'?"),
        (["mine", "--set", "teacher::x={a:1}"], "--set teacher::x: expected a space after each colon"),
        (["mine", "DIR", "OTHER"], "Got unexpected extra argument (OTHER)"),
    ],
)
def test_a_wrong_usage_is_one_line(args: list[str], message: str, labelmine: Command) -> None:
    done = labelmine(*args)
    assert done.status == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert done.files == []


def test_forms_of_export_are_listed_by_help_and_by_an_unknown_one(labelmine: Command) -> None:
    text = " ".join(labelmine("export", "--help").out.split())
    for args in (["export"], ["export", "pascal_voc", "OUT"]):
        done = labelmine(*args)
        assert done.status == 2
        assert "expected FORM to be one of these. Got: " in done.err
        for name, purpose in PURPOSES.items():
            assert re.search(rf"^  {name} +{re.escape(purpose)}$", done.err, re.MULTILINE)
            assert f"{name} {purpose}" in text
    assert "[FORM] [RUN] [FOLDER]" in text


def test_an_overlay_that_is_no_yaml_is_named(tmp_path: Path, labelmine: Command) -> None:
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    done = labelmine("mine", "--overlay", str(tmp_path / "bad.yaml"))
    assert done.status == 2
    assert re.match(r"labelmine mine: .*bad\.yaml is no YAML: .*", done.err)


def test_version_and_help_need_neither_torch_nor_monai() -> None:
    code = (
        "import sys, labelmine.cli as cli\n"
        "for args in (['--version'], ['--help'], ['mine', '--labeler', 'reference', '--help'], ['init', '--help'],\n"
        "             ['export', '--help']):\n"
        "    try: cli.main(args)\n"
        "    except SystemExit as end: assert end.code == 0, end\n"
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stated = yaml.safe_load((bundle_root() / "configs" / "metadata.json").read_text())["version"]
    assert done.stdout.startswith(f"labelmine {stated}\n")
