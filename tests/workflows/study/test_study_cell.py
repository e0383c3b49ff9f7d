"""What a cell's process does around its run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from labelmine.data import find_images
from labelmine.errors import DataError
from labelmine.networks import Student
from labelmine.studies.runner import BUSY
from labelmine.workflows.study.cell import CellJob, _clear, _examine_elsewhere, _take_over, run_cell


def job(folder: Path, **kwargs: object) -> CellJob:
    fixed: dict[str, object] = {"config": "train", "config_files": (), "knobs": {"device": "cpu"}, "facts": {}}
    return CellJob(folder=folder, **{**fixed, **kwargs})  # type: ignore[arg-type]


def test_a_cell_that_another_process_holds_is_busy(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock"), pytest.raises(SystemExit) as left:
        run_cell(job(tmp_path))
    assert left.value.code == BUSY


def test_a_student_is_taken_over_whole_or_not_at_all(tmp_path: Path) -> None:
    source, cell = tmp_path / "source", tmp_path / "cell"
    (source / "supervised").mkdir(parents=True)
    (source / "supervised" / "best.safetensors").write_text("weights")
    (cell / "supervised.part").mkdir(parents=True)  # a copy that a kill broke off
    (cell / "supervised.part" / "odd").touch()
    _take_over(source, cell)
    assert [path.name for path in (cell / "supervised").iterdir()] == ["best.safetensors"]
    (cell / "supervised" / "best.safetensors").write_text("own")
    _take_over(source, cell)
    assert (cell / "supervised" / "best.safetensors").read_text() == "own", "a resumed cell keeps what it has"


@pytest.mark.parametrize("mined", [True, False])
def test_only_what_others_take_over_stays(tmp_path: Path, mined: bool) -> None:
    for stage in ["supervised", "mined"] if mined else ["supervised"]:
        (tmp_path / stage / "tensorboard").mkdir(parents=True)
        (tmp_path / stage / "checkpoint.pt").touch()
        (tmp_path / stage / "best.safetensors").touch()
    _clear(tmp_path)
    assert (tmp_path / "supervised" / "checkpoint.pt").is_file() is not mined
    assert not list(tmp_path.glob("*/tensorboard"))
    assert not list(tmp_path.glob("mined/checkpoint.pt"))
    assert all((path / "best.safetensors").is_file() for path in tmp_path.iterdir())


def test_an_external_set_of_other_classes_is_refused(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    images = find_images(str(phantom_folder(2, name="clinic")), str(tmp_path))
    Student(["liver", "tumour"], "mobilenet_v2", None).save(tmp_path / "supervised" / "best.safetensors", image_size=64)
    with pytest.raises(DataError, match=r"external set clinic: its classes are .*, the student's liver, tumour"):
        _examine_elsewhere(job(tmp_path, external=(images,)))
