"""What a study makes of its knobs, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from labelmine.data import write_phantom_set
from labelmine.errors import ConfigError, DataError
from labelmine.evaluation import write_metrics
from labelmine.run.lock import LOCK_FILE
from labelmine.workflows.study import Study
from labelmine.workflows.study.cell import CELL_FILE, reason
from labelmine.workflows.study.images import StudyImages
from labelmine.workflows.study.page import StudyPage
from makers import knobs_of

CATALOGUE: dict[str, dict[str, Any]] = {
    "supervised": {"title": "Supervised", "config": "train"},
    "self_training": {"title": "Self-training", "overlays": ["labeler_self"]},
    "one_time": {"title": "Mined"},
    "wide": {"title": "Wide boxes", "knobs": {"margin": 0.2}},
}
KNOBS = {"steps_per_epoch": 2, "max_epochs": 1, "image_size": 64, "encoder_weights": None}


@pytest.fixture
def study(phantom_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Study]:
    folder = phantom_folder(20)

    def make(methods: list[str], fractions: list[float], **knobs: Any) -> Study:
        given = {
            "dataset_dir": str(folder), "output_dir": str(tmp_path / "study"), "catalogue": CATALOGUE,
            "methods": methods, "fractions": fractions, "seeds": [0], "overlays": ["cpu"], "gpus": [],
        }  # fmt: skip
        return Study(knobs_of("study", **{**given, **KNOBS, **knobs}))

    return make


def test_preparing_writes_splits_and_the_numbered_cells(study: Callable[..., Study]) -> None:
    made = study(["one_time"], [0.25, 0.5])
    made.prepare()
    assert made(cell=-1) == {}
    table = pd.read_csv(made.run.path / "cells.csv")
    assert table["cell"].tolist() == [0, 1, 2, 3]
    assert table["method"].tolist() == ["supervised", "one_time"] * 2
    small, large = (json.loads((made.run.path / "splits" / f"{f}_seed_0.json").read_text()) for f in ("0.25", "0.5"))
    assert small["test"] == large["test"]
    assert (len(small["train"]) + len(small["val"]), len(large["train"]) + len(large["val"])) == (4, 8)
    assert not any(map(made.finished, made.cells))


def test_a_job_begins_while_another_works(study: Callable[..., Study], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    with FileLock(tmp_path / "study" / LOCK_FILE):  # held, as far as the study sees, by another process
        made = study(["supervised"], [0.5])
        made.run.stage("data", made.prepare)
    assert (made.run.path / "cells.csv").is_file()


def test_a_cell_gets_the_knobs_that_its_workflow_has(study: Callable[..., Study]) -> None:
    made = study(["supervised", "wide"], [0.5], knobs={"margin": 0.1})
    supervised, wide = made.cells
    first, second = made.job(supervised), made.job(wide)
    assert "margin" not in first.knobs
    assert "encoder_weights" not in first.knobs  # None: the workflow's default
    assert second.knobs["margin"] == 0.2, "a method's own knob goes before that of all cells"
    assert first.knobs["split_file"] == second.knobs["split_file"]
    assert second.knobs["embedding_cache"].endswith("embeddings")
    assert [Path(file).stem for file in second.config_files] == ["mine", "cpu"]
    assert (first.supervised, second.supervised) == (None, first.folder)


def test_pretraining_goes_before_and_its_encoder_is_taken(study: Callable[..., Study]) -> None:
    made = study(["supervised"], [0.5], simclr=True, simclr_knobs={"max_epochs": 3})
    pretraining, supervised = made.cells
    job = made.job(pretraining)
    assert (job.config, job.knobs["max_epochs"]) == ("pretrain_simclr", 3)
    assert "steps_per_epoch" not in job.knobs
    assert made.job(supervised).knobs["pretrained"] == str(job.folder / "encoder.safetensors")


def test_workers_share_the_gpus(study: Callable[..., Study]) -> None:
    made = study(["supervised"], [0.5], gpus=[2, 5], workers=4)
    assert [made.job(made.cells[0], worker).gpu for worker in range(4)] == [2, 5, 2, 5]


def test_with_all_gold_in_use_there_is_nothing_to_mine(study: Callable[..., Study]) -> None:
    made = study(["supervised", "one_time"], [0.5, 1.0])
    made.prepare()
    assert [made.applies(cell) for cell in made.cells] == [True, True, True, False]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"knobs": {"margn": 0.1}}, "neither mine.yaml nor a method's overlay has a knob margn"),
        ({"steps_per_epoch": None}, "steps_per_epoch: a study compares students of equally many steps"),
        ({"overlays": ["gpu"]}, "overlay 'gpu': no such config of the bundle, and no such file"),
        (
            {"catalogue": {**CATALOGUE, "one_time": {"knobs": {"schedul": "continuous"}}}},
            "method 'one_time': its workflow has no knob schedul",
        ),
    ],
)
def test_mistakes_stop_before_anything_runs(study: Callable[..., Study], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study(["one_time"], [0.5], **kwargs)


def test_a_baseline_must_be_run(study: Callable[..., Study]) -> None:
    made = study(["self_training", "one_time"], [0.5])
    StudyPage(made, baseline="self_training")
    with pytest.raises(ConfigError, match="baseline: expected one of supervised, self_training, one_time, got 'wide'"):
        StudyPage(made, baseline="wide")


def images_of(output_dir: Path, *external_dirs: str | Path) -> StudyImages:
    return StudyImages(knobs_of("study", output_dir=str(output_dir), external_dir=[str(one) for one in external_dirs]))


def test_dots_in_the_name_of_an_external_set_are_part_of_it(tmp_path: Path) -> None:
    folders = [tmp_path / "polyps.v1", tmp_path / "polyps.v2"]
    for folder in folders:
        write_phantom_set(folder, 2, 0, 0)
    assert [found.name for found in images_of(tmp_path / "study", *folders).external] == ["polyps.v1", "polyps.v2"]


def test_external_sets_are_told_apart_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="external_dir: polyps is the name of two sets"):
        images_of(tmp_path, "a/polyps", "b/polyps")


def test_no_such_cell(study: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError, match=r"cell: expected a number from 0 to 1, see cells\.csv; got 2"):
        study(["one_time"], [0.5])(cell=2)
    with pytest.raises(ConfigError, match=r"cell: expected a number greater than or equal to -1\. Got: -2"):
        study(["one_time"], [0.5], cell=-2)


def test_the_reason_is_labelmine_s_own_in_one_line() -> None:
    wrapped = RuntimeError("Failed to evaluate ...")
    wrapped.__cause__ = DataError("case_01.png: cannot be read\nmore")
    assert reason(wrapped) == "DataError: case_01.png: cannot be read"
    assert reason(ValueError()) == "ValueError: no message"


@pytest.mark.parametrize("config", ["mine", "synthesize"])
def test_a_method_that_trains_otherwise_trains_its_own_first_student(study: Callable[..., Study], config: str) -> None:
    methods = {"alike": {"config": config}, "longer": {"config": config, "knobs": {"max_epochs": 3}}}
    made = study(list(methods), [0.5], catalogue={**CATALOGUE, **methods})
    first, alike, longer = (made.job(cell) for cell in made.cells)
    assert (alike.supervised, longer.supervised) == (first.folder, None)


def finish(made: Study) -> None:
    """Leave what finished cells leave of themselves."""
    for cell in made.cells:
        write_metrics(made.folder(cell) / CELL_FILE, made.job(cell).facts)


OTHERWISE: dict[str, tuple[dict[str, Any], str]] = {
    "knob": ({"knobs": {"margin": 0.3}}, r"wide::knobs::margin: 0\.2 then, 0\.3 now"),
    "further knob": ({"knobs": {"margin": 0.2, "tau": 0.4}}, r"wide::knobs::tau: None then, 0\.4 now"),
    "overlay": (
        {"knobs": {"margin": 0.2}, "overlays": ["labeler_self"]},
        r"wide::overlays: \[\] then, \['labeler_self'\] now",
    ),
    "config": (
        {"config": "train"},
        r"supervised: \{.*\} then, None now; wide::config: 'mine' then, 'train' now; wide::knobs::margin: 0\.2 then,",
    ),
}


@pytest.mark.parametrize(("now", "told"), OTHERWISE.values(), ids=list(OTHERWISE))
def test_finished_cells_of_another_definition_are_refused_by_name(
    study: Callable[..., Study], now: dict[str, Any], told: str
) -> None:
    finish(study(["one_time", "wide"], [0.25, 0.5]))
    message = rf"^study holds finished cells .*: method 'wide' \(wide, 0\.25, seed 0: {told}.*delete cells/wide to run"
    with pytest.raises(ConfigError, match=message) as caught:
        study(["one_time", "wide"], [0.25, 0.5], catalogue={**CATALOGUE, "wide": now})
    assert "'one_time'" not in str(caught.value)


def test_what_others_build_on_is_part_of_their_definition(study: Callable[..., Study]) -> None:
    finish(study(["self_training", "one_time"], [0.5]))
    longer = {**CATALOGUE["supervised"], "knobs": {"max_epochs": 3}}
    with pytest.raises(ConfigError, match=r"'self_training' .*'one_time' .*supervised::knobs::max_epochs: None then"):
        study(["self_training", "one_time"], [0.5], catalogue={**CATALOGUE, "supervised": longer})


def test_a_finished_study_takes_up_new_methods_and_titles(study: Callable[..., Study]) -> None:
    first = study(["one_time"], [0.5])
    first.prepare()
    finish(first)
    named = {**CATALOGUE, "one_time": {"title": "Another title"}, "new": {"title": "New", "knobs": {"margin": 0.4}}}
    made = study(["one_time", "new"], [0.5], catalogue=named)
    assert [cell.method.key for cell in made.cells if not made.finished(cell)] == ["new"]


def test_cells_that_do_not_say_what_they_were_are_refused(study: Callable[..., Study]) -> None:
    made = study(["supervised"], [0.5])
    write_metrics(made.folder(made.cells[0]) / CELL_FILE, {"method": "supervised"})
    with pytest.raises(ConfigError, match=r"method 'supervised' \(.*: None then, \{'config': 'train'"):
        study(["supervised"], [0.5])
