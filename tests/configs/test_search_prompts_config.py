from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

import labelmine.teachers
from labelmine.errors import ConfigError, DataError
from labelmine.labelers import build_prompted_labeler
from labelmine.teachers import CompactTeacher, SamTeacher
from makers import knobs_of, metrics_of


@pytest.fixture
def knobs(mined: Any, tmp_path: Path) -> dict[str, Any]:
    return {
        "model_dir": str(mined.folder), "teacher_weights": mined.knobs["teacher_weights"], "device": "cpu", "limit": 6,
        "kinds_tried": [["box"], ["points", "box"]], "margins": [0.0, 0.1], "taus": [0.5], "n_points_tried": [3],
        "objects": ["per_component"], "output_dir": str(tmp_path / "out"),
    }  # fmt: skip


def test_search_and_use_what_was_found(
    knobs: dict[str, Any], mined: Any, tmp_path: Path, run_config: Any, config_files: Any
) -> None:
    before = {path: path.read_bytes() for path in mined.folder.rglob("*") if path.is_file()}
    run_config("search_prompts", **knobs)
    out = tmp_path / "out"
    table = pd.read_csv(out / "trials.csv")
    assert len(table) == 1 + 4
    assert set(table["n"]) == {6}
    rows = pd.read_csv(out / "trials_per_image.csv")
    validation = json.loads((mined.folder / "split.json").read_text())["val"]
    assert set(rows["id"]) <= set(validation)
    metrics = metrics_of(out)
    assert (metrics["dataset"], metrics["n_images"], metrics["n_trials"]) == ("phantom", 6, 4)
    assert metrics["embedding_cache"]["misses"] <= 6  # each image was encoded once at most
    assert metrics["student"]["dice"]["n"] == 6
    assert before == {path: path.read_bytes() for path in mined.folder.rglob("*") if path.is_file()}

    # Killed behind the second setting and gone on, the search ends with the same files.
    whole = {name: (out / name).read_bytes() for name in ("trials.csv", "prompts.yaml", "trials_per_image.csv")}
    kept = rows["trial"].drop_duplicates().tolist()[:2]
    rows[rows["trial"].isin(kept)].to_csv(out / "trials_per_image.csv", index=False, float_format="%.6g")
    (out / "trials.csv").unlink()
    run_config("search_prompts", **knobs)
    assert whole == {name: (out / name).read_bytes() for name in whole}

    overlay = yaml.safe_load((out / "prompts.yaml").read_text())
    assert set(overlay) <= set(ConfigParser.load_config_file(config_files("mine")[0]))
    chosen = knobs_of("mine", str(out / "prompts"), embedding_cache=None)
    prompts = build_prompted_labeler(CompactTeacher(64), chosen, exclusive=False).prompts
    assert (list(prompts.kinds), prompts.margin) == (overlay["prompt_kinds"], overlay["margin"])


def test_a_mask_choice_goes_to_the_teacher_of_another_overlay(tmp_path: Path, config_files: Any) -> None:
    (tmp_path / "prompts.yaml").write_text("prompt_kinds: [box]\nteacher::multimask: false\n")
    parser = ConfigParser()
    parser.read_config([*config_files("mine", "teacher_sam"), str(tmp_path / "prompts.yaml")])
    assert parser["teacher::multimask"] is False
    assert parser["teacher::_target_"] == "labelmine.teachers.build_sam_teacher"


def test_hidden_gold_is_for_studies(knobs: dict[str, Any], mined: Any, tmp_path: Path, run_config: Any) -> None:
    run_config(
        "search_prompts", **{**knobs, "gold": "hidden", "limit": "null", "kinds_tried": [["box"]], "margins": [0.0]}
    )
    ids = set(pd.read_csv(tmp_path / "out" / "trials_per_image.csv")["id"])
    assert ids == set(json.loads((mined.folder / "split.json").read_text())["unlabeled"])


def test_another_search_in_the_same_folder_is_refused(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    few = {**knobs, "kinds_tried": [["box"]], "margins": [0.0]}
    run_config("search_prompts", **few)
    with refused(ConfigError, r"out holds a run with other settings \(taus: \[0.5\] then, \[0.3\] now\)"):
        run_config("search_prompts", **{**few, "taus": [0.3]})


@pytest.mark.parametrize(
    ("knob", "value", "kind", "message"),
    [
        ("model_dir", "nowhere", ConfigError, "model_dir: expected the output folder of a mine.yaml or train.yaml run"),
        ("gold", "test", ConfigError, "gold: input should be 'val' or 'hidden'. Got: 'test'"),
        ("limit", 1, ConfigError, "limit: expected 2 images or more, or null for all. Got: 1"),
        ("limit", "many", ConfigError, "limit: input should be a valid integer.* Got: 'many'"),
        ("kind_tried", [], ConfigError, r"'kind_tried' \(did you mean 'kinds_tried'\?\)"),
    ],
)
def test_mistakes_are_named(
    knob: str, value: Any, kind: Any, message: str, knobs: dict[str, Any], run_config: Any, refused: Any
) -> None:
    with refused(kind, message):
        run_config("search_prompts", **{**knobs, knob: value})


def test_other_images_than_the_run_s_are_refused(
    knobs: dict[str, Any], phantom_folder: Any, run_config: Any, refused: Any
) -> None:
    with refused(DataError, "splits other images, masks or groups than were found. Give the dataset_dir of the run"):
        run_config("search_prompts", **knobs, dataset_dir=str(phantom_folder(12)))


def small_sam(weights: str, device: str, preprocessing: Any = "sam") -> SamTeacher:
    """What ``build_sam_teacher`` builds, in miniature and with random weights."""
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=64, patch_size=16, embed_dim=32, depth=1, num_heads=2, out_chans=32,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    prompts = PromptEncoder(embed_dim=32, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=1, embedding_dim=32, mlp_dim=64, num_heads=2)
    decoder = MaskDecoder(transformer_dim=32, transformer=transformer)
    return SamTeacher(Sam(encoder, prompts, decoder).eval().to(device), preprocessing, name=weights)


@pytest.mark.parametrize(
    ("overlay", "default"), [("teacher_sam", "best of three masks"), ("teacher_medsam", "single mask")]
)
def test_sam_is_asked_for_one_mask_and_for_the_best_of_three(
    overlay: str, default: str, knobs: dict[str, Any], tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelmine.teachers, "build_sam_teacher", small_sam)
    del knobs["teacher_weights"]
    run_config("search_prompts", overlay, **{**knobs, "limit": 3, "margins": [0.0]})
    table = pd.read_csv(tmp_path / "out" / "trials.csv")
    assert table["trial"][1].endswith(default)
    assert (
        table["trial"].str.endswith("single mask").sum()
        == table["trial"].str.endswith("best of three masks").sum()
        == 2
    )
    # A teacher of random weights answers differently with either, which shows that the choice reached it.
    alone = table[table["trial"].str.startswith("box")]
    assert alone["mean"].nunique() == 2


@pytest.mark.parametrize("name", ["teacher_sam", "teacher_medsam", "teacher_hugging_face"])
def test_a_teacher_s_overlay_only_changes_what_search_and_replay_have(name: str, config_files: Any) -> None:
    overlay = ConfigParser.load_config_file(config_files(name)[0])
    assert set(overlay) <= set(ConfigParser.load_config_file(config_files("search_prompts")[0]))
    assert set(overlay) - {"prompt_kinds"} <= set(ConfigParser.load_config_file(config_files("replay")[0]))
