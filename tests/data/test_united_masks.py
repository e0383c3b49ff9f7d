from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.data import ClassMap, LoadItem, check_items, find_items, read_label
from labelmine.errors import DataError

ONE, TWO = np.zeros((12, 16), np.uint8), np.zeros((12, 16), np.uint8)
ONE[1:4, 1:5], TWO[6:10, 8:14] = 255, 255


def write(folder: Path, **masks: np.ndarray) -> Path:
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for name in {name.split("_")[0] for name in masks}:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)).save(
            folder / f"images/{name}.png"
        )
    for name, mask in masks.items():
        Image.fromarray(mask).save(folder / f"masks/{name}.png")
    return folder


def test_all_reads_get_the_union(tmp_path: Path) -> None:
    (item,) = find_items(write(tmp_path, a_mask=ONE, a_mask_1=TWO))
    assert [Path(part).name for part in item["label_parts"]] == ["a_mask.png", "a_mask_1.png"]
    union = (ONE | TWO) > 0
    np.testing.assert_array_equal(read_label(item, item["label"], ClassMap())[0], union)
    np.testing.assert_array_equal(LoadItem(ClassMap())(item)["label"][0].numpy(), union)
    dropped = {**item, "dropped_label": item["label"]}
    np.testing.assert_array_equal(read_label(dropped, dropped["dropped_label"], ClassMap())[0], union)
    np.testing.assert_array_equal(read_label(item, item["label_parts"][1], ClassMap())[0], TWO > 0)
    assert check_items([item], tmp_path / "quarantine.csv").items == [item]


def test_classes_in_files_of_their_own(tmp_path: Path) -> None:
    (item,) = find_items(write(tmp_path, a=ONE // 255, a_1=TWO // 255 * 2))
    both = read_label(item, item["label"], ClassMap(("x", "y"), (1, 2)))
    np.testing.assert_array_equal(both, [ONE > 0, TWO > 0])


def test_masks_that_do_not_fit_together_are_set_aside(tmp_path: Path) -> None:
    whole = np.full((12, 16), 1, np.uint8)
    folder = write(tmp_path, a=whole, a_1=TWO // 255 * 2, b=ONE, b_1=ONE[:6], c=ONE, d=TWO)
    checked = check_items(find_items(folder), tmp_path / "quarantine.csv", {"x": 255})
    assert {row.id: row.reason for row in checked.set_aside} == {
        "a": "a_1.png: overlaps a.png with other values; draw one mask, or one per class",
        "b": "b_1.png: is 16 x 6 pixels, and b.png, a mask of the same image, 16 x 12 pixels; save both in one form",
    }
    with pytest.raises(DataError, match="overlaps"):
        read_label(find_items(folder)[0], tmp_path / "masks/a.png", ClassMap())
