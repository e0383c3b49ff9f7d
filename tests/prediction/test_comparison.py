from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from labelmine.data import ClassMap, ImageSet, find_items
from labelmine.evaluation import surface_scores
from labelmine.prediction import compare, gold_of


def image_set(folder: Path, slice_axis: int = -1) -> ImageSet:
    items = [item for item in find_items(folder, slice_axis) if "label" in item]
    return ImageSet(
        name="set", root=folder, items=items, classes=ClassMap(), window=None, slice_axis=slice_axis, summary={}
    )


@pytest.mark.parametrize(("axis", "sides"), [(0, (1, 2)), (1, (0, 2)), (2, (0, 1))])
def test_slices_are_compared_in_their_own_millimetres(tmp_path: Path, axis: int, sides: tuple[int, int]) -> None:
    sizes = (0.5, 1.5, 4.0)
    gold = np.zeros((12, 13, 14), dtype=np.uint8)
    gold[3:8, 4:9, 5:10] = 1
    for name, volume in (("images", gold * 200), ("masks", gold)):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(volume, np.diag([*sizes, 1.0])), tmp_path / name / "v.nii.gz")
    images = image_set(tmp_path, axis)
    spacing = (sizes[sides[0]], sizes[sides[1]])
    for shifted in (1, 2):
        answers = [(item, np.roll(gold_of(item, images), 1, axis=shifted)) for item in images.items]
        table = compare(answers, images)
        for row, (item, answer) in zip(table.itertuples(), answers, strict=True):
            distance, dice = surface_scores(answer, gold_of(item, images), spacing)
            assert (row.hd95, row.surface_dice) == (distance[0], dice[0])
        assert table.loc[~table["gold_empty"], "hd95"].unique().tolist() == [spacing[shifted - 1]]


def test_pictures_are_compared_without_millimetres(tmp_path: Path) -> None:
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[4:9, 4:9] = 255
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        Image.fromarray(mask).save(tmp_path / name / "a.png", dpi=(96, 96))
    images = image_set(tmp_path)
    row = compare([(images.items[0], gold_of(images.items[0], images))], images).iloc[0]
    assert (row["dice"], row["found_medium"] + row["found_large"]) == (1.0, 1)
    assert row[["hd95", "surface_dice"]].isna().all()
