"""Overlays that put another labeler in the place of the prompted teacher."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser
from PIL import Image

from labelmine.errors import ConfigError, DataError

#: Knobs that only the overlay has.
OWN_KNOBS = {
    "labeler_recorded": {"masks_dir", "scores", "one_class_limit"},
    "labeler_self": set(),
    "labeler_reference": {
        "k", "pool_size", "vote_confidence", "layer", "stride", "near_images", "memory_mb"
    },
}  # fmt: skip


@pytest.fixture
def weak_set(phantom_folder: Callable[..., Path]) -> tuple[Path, Path]:
    """A set of 14 phantoms of which 6 have no gold, and a folder with masks of five of those (one of them empty)."""
    whole = phantom_folder(14, name="whole")
    gold = phantom_folder(14, labeled=8, name="gold")
    weak = whole.parent / "weak"
    weak.mkdir()
    for number in range(8, 13):
        shutil.copy(whole / "masks" / f"case_{number:02d}.png", weak)
    blank = Image.new("L", (48, 48))
    blank.save(weak / "case_12.png")
    return gold, weak


def labels(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "labels" / "manifest.csv").open() as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", OWN_KNOBS)
@pytest.mark.parametrize("base", ["mine", "label"])
def test_an_overlay_only_changes_what_its_base_has(name: str, base: str, config_files: Any) -> None:
    overlay, known = (ConfigParser.load_config_file(config_files(one)[0]) for one in (name, base))
    assert {key.removeprefix("+") for key in overlay} - OWN_KNOBS[name] <= set(known)


def test_recorded_masks_are_mined(
    weak_set: tuple[Path, Path], tmp_path: Path, small: dict[str, Any], run_config: Any
) -> None:
    gold, weak = weak_set
    out = tmp_path / "out"
    knobs = {**small, "dataset_dir": str(gold), "masks_dir": str(weak), "gate": False, "output_dir": str(out)}
    run_config("mine", "labeler_recorded", **knobs)

    reasons = {name: row["reason"] for name, row in labels(out).items()}
    assert reasons == {
        **{f"case_{n:02d}": "" for n in range(8, 12)},
        "case_12": "empty_mask",
        "case_13": "no_mask",
    }
    assert {row["labeler"] for row in labels(out).values()} == {"recorded"}
    assert yaml.safe_load((out / "config.yaml").read_text())["masks_dir"] == str(weak)
    assert (out / "report" / "index.html").is_file()


def test_recorded_masks_pass_the_gate(
    weak_set: tuple[Path, Path], tmp_path: Path, quick: dict[str, Any], run_config: Any
) -> None:
    """No validation image has a recorded mask: the gate cannot compare, and must not take that for failure."""
    gold, weak = weak_set
    out = tmp_path / "out"
    run_config(
        "mine", "labeler_recorded", **quick, dataset_dir=str(gold), masks_dir=str(weak), output_dir=str(out),
        min_score=0.0,
    )  # fmt: skip
    assert {name for name, row in labels(out).items() if row["accepted"] == "True"} == {
        f"case_{n:02d}" for n in range(8, 12)
    }


@pytest.mark.parametrize(
    ("masks", "kind", "message"),
    [
        (None, ConfigError, "masks_dir: expected the folder of the recorded masks; give it by --masks_dir DIR"),
        ("absent", DataError, "masks_dir: .*absent is no folder"),
    ],
)
def test_missing_masks_stop_the_run_before_the_first_training(
    masks: str | None,
    kind: Any,
    message: str,
    weak_set: tuple[Path, Path],
    tmp_path: Path,
    quick: dict[str, Any],
    run_config: Any,
    refused: Any,
) -> None:
    out = tmp_path / "out"
    given = {} if masks is None else {"masks_dir": str(tmp_path / masks)}
    with refused(kind, message):
        run_config("mine", "labeler_recorded", **quick, **given, dataset_dir=str(weak_set[0]), output_dir=str(out))
    assert not (out / "supervised").exists()
    assert not (out / "config.yaml").exists(), "the mended command must not be taken for other settings"


def test_a_layer_that_no_student_has_stops_the_run_before_the_first_training(
    tmp_path: Path, phantom_folder: Any, quick: dict[str, Any], run_config: Any, refused: Any
) -> None:
    out = tmp_path / "out"
    knobs = {**quick, "dataset_dir": str(phantom_folder(12)), "labeled_fraction": 0.5, "layer": "nowhere"}
    with refused(ConfigError, r"layer: the network has no module 'nowhere'. Among others it has: .*network.decoder"):
        run_config("mine", "labeler_reference", **knobs, output_dir=str(out))
    assert not (out / "supervised").exists()
    assert not (out / "config.yaml").exists(), "the mended command must not be taken for other settings"


def test_recorded_masks_are_labels_of_a_folder_too(
    weak_set: tuple[Path, Path], mined: Any, tmp_path: Path, run_config: Any
) -> None:
    gold, weak = weak_set
    out = tmp_path / "out"
    run_config(
        "label", "labeler_recorded", dataset_dir=str(gold / "images"), masks_dir=str(weak), one_class_limit=0.999,
        model_dir=str(mined.folder), output_dir=str(out), device="cpu",
    )  # fmt: skip
    accepted = [name for name, row in labels(out).items() if row["accepted"] == "True"]
    assert sorted(accepted) == [f"case_{n:02d}" for n in range(8, 12)]
    assert labels(out)["case_00"]["reason"] == "no_mask"


def test_self_training_asks_no_teacher(
    weak_set: tuple[Path, Path], tmp_path: Path, quick: dict[str, Any], run_config: Any
) -> None:
    out = tmp_path / "out"
    run_config("mine", "labeler_self", **quick, dataset_dir=str(weak_set[0]), output_dir=str(out), confidence=0.6)
    rows = labels(out)
    assert len(rows) == 6
    assert {(row["labeler"], row["teacher"]) for row in rows.values()} == {("self", "")}


@pytest.mark.parametrize(("schedule", "gate"), [("one_time", True), ("continuous", True), ("one_time", False)])
def test_references_label_without_any_weights(
    schedule: str, gate: bool, weak_set: tuple[Path, Path], tmp_path: Path, quick: dict[str, Any], run_config: Any
) -> None:
    out = tmp_path / "out"
    run_config(
        "mine", "labeler_reference", **quick, dataset_dir=str(weak_set[0]), output_dir=str(out), schedule=schedule,
        gate=gate, min_score=0.0, pool_size=500, teacher_weights="there_is_no_such_file.pth",
    )  # fmt: skip
    rows = labels(out)
    assert len(rows) == 6
    assert {row["teacher"] for row in rows.values()} == {""}
    assert {row["labeler"] for row in rows.values()} <= ({"reference", "self"} if gate else {"reference"})
    assert yaml.safe_load((out / "config.yaml").read_text())["pool_size"] == 500


def test_references_label_a_folder_that_has_some_gold(
    weak_set: tuple[Path, Path], mined: Any, tmp_path: Path, run_config: Any, refused: Any
) -> None:
    knobs = {"model_dir": str(mined.folder), "device": "cpu", "gate": False}
    run_config("label", "labeler_reference", dataset_dir=str(weak_set[0]), output_dir=str(tmp_path / "out"), **knobs)
    assert {row["labeler"] for row in labels(tmp_path / "out").values()} == {"reference"}
    with refused(DataError, "references: expected gold views .* put masks/ beside images/"):
        run_config(
            "label", "labeler_reference", dataset_dir=str(weak_set[0] / "images"), output_dir=str(tmp_path / "no"),
            **knobs,
        )  # fmt: skip
