"""``labelmine doctor``: a page in any case, and exit status 1 exactly where ``mine`` would stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelmine.cli import main
from labelmine.errors import ConfigError, DataError
from makers import metrics_of


def status_of(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *args])
    return int(caught.value.code or 0)


def page_of(folder: Path) -> str:
    return (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_a_set_that_can_be_mined(
    tmp_path: Path, phantom_folder: Callable[..., Path], teacher_file: str, run_config: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    dataset = phantom_folder(14, labeled=12)
    (dataset / "notes.txt").write_text("seen by nobody")
    (dataset / "images" / "torn.png").write_bytes(b"")
    knobs = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "out"), "teacher_weights": teacher_file}
    small = {"image_size": 64, "device": "cpu", "max_epochs": 2, "steps_per_epoch": 1, "encoder": "mobilenet_v2"}
    with caplog.at_level(logging.INFO, logger="labelmine"):
        run_config("doctor", "cpu", **knobs, **small)
    assert "14 images (14 .png) in 14 groups: 12 with a mask, 2 without" in caplog.text
    assert "set aside: 1 as images/torn.png" in caplog.text
    assert "10 would train, 1 validate, 1 test, 2 without a mask would be mined" in caplog.text
    assert "mine will need here, as an estimate: time up to" in caplog.text
    page = page_of(tmp_path / "out")
    assert "Yes, this image set can be mined." in page
    assert "2 epochs of both trainings" in page, "what an overlay or an override says of mine is heeded"
    assert "images/torn.png" in page
    assert str(tmp_path) not in page
    metrics = metrics_of(tmp_path / "out")
    assert (metrics["problem"], metrics["n_images"], metrics["n_set_aside"]) == (None, 14, 1)
    timed = {"first training, on gold", "short trainings for the gate", "second training", "labelling"}
    timed |= {"the teacher's decoder, fitted to gold"}
    assert metrics["estimate"]["seconds"].keys() == timed
    assert not list((tmp_path / "out").rglob("*.safetensors"))

    # Another set is examined in the same folder: nothing is taken up, nothing lingers.
    other = phantom_folder(8, name="other")
    run_config("doctor", **{**knobs, "dataset_dir": str(other)}, image_size=64, device="cpu", estimate=False)
    assert metrics_of(tmp_path / "out")["dataset"] == "other"
    assert metrics_of(tmp_path / "out")["estimate"] is None
    assert "torn" not in (tmp_path / "out" / "quarantine.csv").read_text()
    assert "all images have gold: --labeled_fraction 0.1" in page_of(tmp_path / "out")


def test_phantoms_are_examined_where_no_set_is_given(tmp_path: Path, teacher_file: str, run_config: Any) -> None:
    run_config("doctor", output_dir=str(tmp_path), teacher_weights=teacher_file, estimate=False, device="cpu")
    assert metrics_of(tmp_path)["n_images"] == 80
    assert "50 without a mask would be mined" in page_of(tmp_path)


def levels(dataset: Path) -> None:
    for path in (dataset / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[2:12, 2:12] = 50
        Image.fromarray(mask).save(path)


def second_masks(dataset: Path) -> None:
    (dataset / "gt").mkdir()
    for path in (dataset / "masks").iterdir():
        (dataset / "gt" / path.name).write_bytes(path.read_bytes())


def leaking_split(dataset: Path) -> None:
    for path in (dataset / "images").iterdir():
        path.write_bytes((dataset / "images" / "case_00.png").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "kind", "message", "shown"),
    [
        (levels, ConfigError, r"masks hold 2 levels besides 0.*--classes", "Look at them"),
        (second_masks, DataError, r"in 2 ways; say which is the gold: --mask_pattern", "gt/*.png"),
        (leaking_split, DataError, "too little gold", "All pairs"),
    ],
)
def test_where_mine_would_stop_the_page_says_why(
    spoil: Any, kind: Any, message: str, shown: str, phantom_folder: Callable[..., Path], tmp_path: Path,
    run_config: Any, refused: Any, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    dataset = phantom_folder(5)
    spoil(dataset)
    with refused(kind, message):
        run_config("mine", dataset_dir=str(dataset), output_dir=str(tmp_path / "mine"), device="cpu")
    assert status_of(str(dataset), "--output_dir", str(tmp_path / "out"), "--device", "cpu") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"{kind.__name__}: ")
    page = page_of(tmp_path / "out")
    assert "Not yet: labelmine mine would stop here." in page
    assert shown in page
    assert metrics_of(tmp_path / "out")["problem"] == said.partition(": ")[2]


def test_a_folder_that_is_not_there_still_gets_a_page(tmp_path: Path) -> None:
    assert status_of(str(tmp_path / "ward 3" / "none"), "--output_dir", str(tmp_path / "out")) == 1
    page = page_of(tmp_path / "out")
    assert "does not exist; give a folder" in page
    assert "ward 3" not in page
