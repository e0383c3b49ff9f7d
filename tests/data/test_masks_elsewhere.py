from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.data import ClassMap, Item, read_label
from labelmine.data.masks_elsewhere import LOOKED_AT, classes_elsewhere
from labelmine.data.stored_masks import StoredMask

BLOB = np.zeros((48, 64), dtype=np.uint8)
BLOB[10:30, 20:50] = 1
GOLD = ClassMap(levels=(0, 255))


def masks(folder: Path, values: list[np.ndarray], suffix: str = "png") -> list[tuple[Item, Path]]:
    folder.mkdir(exist_ok=True)
    for n, mask in enumerate(values):
        Image.fromarray(mask).save(folder / f"{n}.{suffix}")
    return [(Item(id=str(n), image="", group=str(n)), folder / f"{n}.{suffix}") for n in range(len(values))]


@pytest.mark.parametrize(("top", "suffix"), [(1, "png"), (255, "png"), (255, "jpg"), (7, "tif")])
def test_another_folder_has_levels_of_its_own(tmp_path, top, suffix, caplog):
    """Masks of 0 and 1 are no noise because the gold is cut at 127.5."""
    files = masks(tmp_path / "answers", [np.roll(BLOB, n) * np.uint8(top) for n in range(3)], suffix)
    with caplog.at_level(logging.INFO):
        classes = classes_elsewhere(GOLD, files)
    for n, (item, path) in enumerate(files):
        np.testing.assert_array_equal(read_label(item, path, classes)[0], np.roll(BLOB, n))
    assert ("answers: masks are not quite binary" in caplog.text) == (suffix == "jpg")


def test_values_of_classes_stay(tmp_path):
    files = masks(tmp_path / "answers", [BLOB * np.uint8(50)])
    known = ClassMap.from_config({"a": 50, "b": 255})
    assert classes_elsewhere(known, files) == known


def test_damaged_masks_are_left_to_their_reader(tmp_path):
    files = masks(tmp_path / "answers", [BLOB, BLOB])
    files[0][1].write_bytes(b"")
    assert classes_elsewhere(GOLD, files) == ClassMap()
    assert classes_elsewhere(GOLD, []) == ClassMap()


def test_large_folders_are_sampled(tmp_path, monkeypatch):
    files = masks(tmp_path / "answers", [BLOB]) * (LOOKED_AT * 5)
    read: list[Path] = []

    def count(item: Item, path: Path, *_: object) -> StoredMask:
        read.append(path)
        return StoredMask(BLOB)

    monkeypatch.setattr("labelmine.data.masks_elsewhere.read_mask_of", count)
    classes_elsewhere(GOLD, files)
    assert len(read) == LOOKED_AT
