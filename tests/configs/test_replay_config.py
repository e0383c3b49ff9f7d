"""Labels of real runs, made again from their manifests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from labelmine.errors import ConfigError, DataError, WeightsError
from labelmine.labelers import SelfLabeler
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.workflows import Replay, open_run


@pytest.fixture
def knobs(mined: Any, tmp_path: Path) -> dict[str, Any]:
    return {
        "run_dir": str(mined.folder), "teacher_weights": mined.knobs["teacher_weights"], "batch_size": 4,
        "output_dir": str(tmp_path / "replay"), "device": "cpu",
    }  # fmt: skip


@pytest.fixture
def copied(mined: Any, knobs: dict[str, Any], tmp_path: Path) -> Path:
    """The mined run once more, for tests that change it."""
    folder = Path(shutil.copytree(mined.folder, tmp_path / "copied"))
    knobs["run_dir"] = str(folder)
    return folder


def outcomes(tmp_path: Path) -> dict[str, Any]:
    return {row["id"]: row for row in pd.read_csv(tmp_path / "replay" / "replay.csv").to_dict("records")}


def test_every_label_of_a_run_comes_out_the_same(knobs: dict[str, Any], tmp_path: Path, run_config: Any) -> None:
    before = {path: path.read_bytes() for path in sorted(Path(knobs["run_dir"]).rglob("*")) if path.is_file()}
    run_config("replay", **knobs)
    metrics = json.loads((tmp_path / "replay" / "metrics.json").read_text())
    assert (metrics["equal"], metrics["different"], metrics["not_replayable"]) == (80, 0, 0)
    assert metrics["n_labels"] == 80
    assert any((Path(knobs["run_dir"]) / "labels" / "masks").iterdir())
    assert before == {path: path.read_bytes() for path in before}


def test_fractional_boxes_and_missing_points_are_on_record(
    mined: Any, knobs: dict[str, Any], tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    images = str(phantom_folder(6) / "images")
    run_config(
        "label", dataset_dir=images, model_dir=str(mined.folder), output_dir=str(tmp_path / "out"), device="cpu",
        teacher_weights=knobs["teacher_weights"], margin=0.13, tau=0.3, n_points=20, n_negative=2, min_size=4,
        min_score=0.0, gate=False,
    )  # fmt: skip
    records = [json.loads(line) for line in (tmp_path / "out" / "labels" / "manifest.jsonl").read_text().splitlines()]
    prompts = [prompt for record in records for prompt in record["prompts"]]
    assert any(value % 1 for prompt in prompts for value in prompt["box"])
    run_config("replay", **{**knobs, "run_dir": str(tmp_path / "out"), "dataset_dir": images})
    assert {row["outcome"] for row in outcomes(tmp_path).values()} == {"equal"}
    assert any(record["prompts"] for record in records)


def test_a_changed_mask_is_named(
    copied: Path, knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    path = sorted((copied / "labels" / "masks").iterdir())[3]
    pixels = np.array(Image.open(path))
    pixels[0, :2] = 255 - pixels[0, :2]
    Image.fromarray(pixels).save(path)
    with refused(DataError, rf"{path.stem}: the label came out otherwise \(2 pixels differ\), the first of 1 listed"):
        run_config("replay", **knobs)
    run_config("replay", **knobs, strict=False)
    found = outcomes(tmp_path)
    assert (found[path.stem]["outcome"], found[path.stem]["pixels"]) == ("different", 2)
    assert sum(row["outcome"] == "equal" for row in found.values()) == 79
    path.unlink()
    with refused(DataError, rf"{path.stem}: the label came out otherwise \(.*label cannot be read"):
        run_config("replay", **knobs, ids=path.stem)


def test_ids_choose_and_unknown_ones_are_refused(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any, mined: Any
) -> None:
    known = sorted(path.stem for path in (mined.folder / "labels" / "masks").iterdir())
    run_config("replay", **knobs, ids=known[4:6])
    assert list(outcomes(tmp_path)) == known[4:6]
    with refused(DataError, r"ids: expected images that the manifest names, got \['nobody'\] \(1 unknown\)"):
        run_config("replay", **knobs, ids=[known[0], "nobody"])


def test_another_teacher_is_refused(knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any) -> None:
    torch.manual_seed(1)
    other = save_compact_teacher(CompactTeacher(64), tmp_path / "random.safetensors")
    with refused(
        WeightsError, r"expected the teacher that labelled it, 'random' \(weights' sha256 .*\), got 'random' \("
    ):
        run_config("replay", **{**knobs, "teacher_weights": str(other)})


def test_what_a_student_drew_is_counted_or_asked_again(
    copied: Path, knobs: dict[str, Any], tmp_path: Path, run_config: Any
) -> None:
    manifest = copied / "labels" / "manifest.jsonl"
    records = [json.loads(line) for line in manifest.read_text().splitlines()]
    records[0]["drawn_by"], records[1]["labeler"], records[2]["prompts"] = (
        "student",
        "self",
        [{"class": 0, "mask": True}],
    )
    records[3]["id"] = "gone"
    manifest.write_text("".join(json.dumps(record) + "\n" for record in records))
    run_config("replay", **knobs)
    found = list(outcomes(tmp_path).values())
    assert [row["reason"] for row in found[:4]] == [
        "labeler prompted, drawn by student: prompts alone do not tell this label",
        "labeler self, drawn by labeler: prompts alone do not tell this label",
        "asked by mask: prompts alone do not tell this label",
        "its image is not in the image set",
    ]
    assert {row["outcome"] for row in found[:4]} == {"not replayable"}
    assert {row["outcome"] for row in found[4:]} == {"equal"}


def test_self_labels_are_asked_again_from_their_student(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    images, out = str(phantom_folder(5) / "images"), tmp_path / "out"
    run_config(
        "label", "labeler_self", dataset_dir=images, model_dir=str(mined.folder), output_dir=str(out), device="cpu"
    )
    run = open_run(str(out), images, model_dir=str(mined.folder))
    table = Replay(run, None, str(tmp_path / "again"), again=SelfLabeler())()
    assert table["outcome"].tolist() == ["equal"] * 5
    without = open_run(str(out), images)
    table = Replay(without, None, str(tmp_path / "again"), again=SelfLabeler())()
    assert table["reason"].str.contains(r"the student that it depends on \(\w{12}\) is not there").all()


def test_a_folder_without_labels_or_images_is_refused(
    knobs: dict[str, Any], tmp_path: Path, copied: Path, run_config: Any, refused: Any
) -> None:
    with refused(DataError, "classes.json: expected .* Give the output folder of such a run"):
        run_config("replay", **{**knobs, "run_dir": str(tmp_path / "nowhere")})
    shutil.rmtree(copied / "phantom")
    with refused(ConfigError, "dataset_dir: expected the images of the run in copied, which wrote none. Got: null"):
        run_config("replay", **knobs)


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'run_folder' \(did you mean 'run_dir'\?\)"):
        run_config("replay", run_folder="x")
