from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelmine.errors import ConfigError, DataError, WeightsError


@pytest.fixture
def finished(mined: Any, tmp_path: Path) -> Path:
    """The finished run without what review does not need."""
    run = tmp_path / "run"
    shutil.copytree(mined.folder, run, ignore=shutil.ignore_patterns("supervised", "mined", "report"))
    return run


def test_review_of_a_mine_run(finished: Path, run_config: Any) -> None:
    run_config("review", model_dir=str(finished), budget=4, device="cpu")
    table = pd.read_csv(finished / "labels" / "review.csv", keep_default_na=False)
    unlabeled = json.loads((finished / "split.json").read_text())["unlabeled"]
    assert set(table["id"]) == set(unlabeled)
    assert table["selected"].sum() == 4
    assert table["gain"].between(0, 1).all()
    chosen = {f"{name.replace('/', '__')}.png" for name in table["id"][:4]}
    review = finished / "labels" / "review"
    assert {path.name for path in (review / "cvat" / "images").iterdir()} == chosen
    assert (
        len(list((review / "slicer").glob("*.seg.nrrd"))) == len(list((review / "monai_label").glob("*.nii.gz"))) == 4
    )
    first = handed_out(review)
    run_config("review", model_dir=str(finished), budget=4, device="cpu")
    assert handed_out(review) == first


def handed_out(folder: Path) -> dict[str, bytes]:
    """What an expert gets, without what a run keeps for itself."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    own = {"config.yaml", "seconds.json", "run.log", ".lock", ".lock.json", "written.json", "checksums.jsonl"}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.name not in own}


def test_another_budget_hands_out_anew(finished: Path, tmp_path: Path, run_config: Any, refused: Any) -> None:
    review = finished / "labels" / "review"
    run_config("review", model_dir=str(finished), budget=4, device="cpu")
    first = handed_out(review)
    run_config("review", model_dir=str(finished), budget=2, device="cpu", output_dir=str(tmp_path / "for_two"))
    assert handed_out(review) == first, "another folder leaves this one alone"
    run_config("review", model_dir=str(finished), budget=2, device="cpu")
    assert handed_out(review) == handed_out(tmp_path / "for_two")
    assert len(list((review / "cvat" / "images").iterdir())) == 2
    with refused(ConfigError, r"review holds a run with other settings \(seed: 0 then, 1 now\). Give another --output"):
        run_config("review", model_dir=str(finished), seed=1, budget=2, device="cpu")


def test_review_of_a_label_run(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    used = {"dataset_dir": str(phantom_folder(6, labeled=2)), "model_dir": str(mined.folder), "device": "cpu"}
    run_config("label", **used, teacher_weights=mined.knobs["teacher_weights"], output_dir=str(tmp_path / "out"))
    run_config("review", **used, labels_dir=str(tmp_path / "out"), budget=2)
    table = pd.read_csv(tmp_path / "out" / "labels" / "review.csv", keep_default_na=False)
    assert set(table["id"]) == {f"case_{number:02d}" for number in range(2, 6)}  # two have gold: nothing to correct


@pytest.mark.parametrize(
    ("knobs", "kind", "message"),
    [
        ({"diversity": 2}, ConfigError, "diversity: expected a number less than or equal to 1. Got: 2"),
        ({"budget": -1}, ConfigError, "budget: expected a number greater than or equal to 0. Got: -1"),
        ({"budgets": 3}, ConfigError, r"'budgets' \(did you mean 'budget'\?\)"),
        ({"labels_dir": "/nowhere"}, DataError, "nowhere: has no labels/; give --labels_dir"),
        ({"model_dir": "/nowhere"}, WeightsError, "give --model_dir the output folder"),
    ],
)
def test_what_is_refused(
    knobs: dict[str, Any], kind: Any, message: str, finished: Path, run_config: Any, refused: Any
) -> None:
    with refused(kind, message):
        run_config("review", **{"model_dir": str(finished), "device": "cpu", **knobs})
