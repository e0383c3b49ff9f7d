"""The images of a finished run are split as that run split them, whoever drew the split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelmine.data import ImageSet, prepare_image_set
from labelmine.errors import DataError
from labelmine.workflows.search_prompts import images_of_run

SETTINGS = {
    "workflow": "mine",
    "classes": None, "window": None, "slice_axis": -1, "mask_pattern": None, "seed": 0,
    "labeled_fraction": 1.0, "val_fraction": 0.1, "test_fraction": 0.1,
}  # fmt: skip


def finished(folder: Path, dataset_dir: Path, **knobs: Any) -> ImageSet:
    """Write what a training leaves of its split and its settings."""
    images = prepare_image_set(str(dataset_dir), str(folder), **knobs)
    (folder / "config.yaml").write_text(yaml.safe_dump({**SETTINGS, **knobs}))
    (folder / "supervised").mkdir()
    (folder / "supervised" / "best.safetensors").write_bytes(b"weights")
    return images


def ids(images: ImageSet) -> dict[str, list[str]]:
    parts = {"train": images.train, "val": images.val, "test": images.test, "unlabeled": images.unlabeled}
    return {name: [item["id"] for item in items] for name, items in parts.items()}


@pytest.fixture
def dataset(phantom_folder: Callable[..., Path]) -> Path:
    return phantom_folder(30)


def test_a_run_with_a_split_file_is_split_as_it_was(dataset: Path, tmp_path: Path) -> None:
    first = finished(tmp_path / "first", dataset, seed=3, labeled_fraction=0.5, val_fraction=0.2, test_fraction=0.2)
    given = tmp_path / "given.json"
    given.write_bytes((tmp_path / "first" / "split.json").read_bytes())
    second = finished(tmp_path / "second", dataset, split_file=str(given))
    given.unlink()  # the run's own split is enough
    for _ in range(2):  # a search that was killed goes on
        found = images_of_run(str(tmp_path / "second"), str(dataset), str(tmp_path / "search"))
        assert ids(found) == ids(second) == ids(first)
    assert all("dropped_label" in item for item in found.unlabeled)


def test_a_run_that_drew_its_split_is_split_as_it_was(dataset: Path, tmp_path: Path) -> None:
    drawn = finished(tmp_path / "run", dataset, seed=5, labeled_fraction=0.5)
    assert ids(images_of_run(str(tmp_path / "run"), str(dataset), str(tmp_path / "search"))) == ids(drawn)


def test_other_images_than_the_run_s_are_refused(
    dataset: Path, phantom_folder: Callable[..., Path], tmp_path: Path
) -> None:
    finished(tmp_path / "run", dataset)
    other = phantom_folder(12, name="other")
    with pytest.raises(DataError, match=r"split\.json splits other images, masks or groups than were found"):
        images_of_run(str(tmp_path / "run"), str(other), str(tmp_path / "search"))
