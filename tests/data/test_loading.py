from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from labelmine.data import ClassMap, Item, LoadItem, find_items, read_label
from labelmine.errors import DataError

MASK = np.zeros((12, 20), dtype=np.uint8)
MASK[2:5, 3:9] = 1
MASK[6:9, 10:15] = 2


@pytest.fixture
def item(tmp_path: Path) -> Item:
    Image.fromarray(np.arange(240, dtype=np.uint8).reshape(12, 20)).save(tmp_path / "a.png")
    Image.fromarray(MASK).save(tmp_path / "m.png")
    return Item(id="a", image=str(tmp_path / "a.png"), label=str(tmp_path / "m.png"), group="a")


def test_load_item(item):
    loaded = LoadItem(ClassMap.from_config(2))(item)
    assert loaded["id"] == "a"
    assert loaded["is_labeled"] is True
    assert loaded["image"].shape == (3, 12, 20)
    assert loaded["label"].shape == (2, 12, 20)
    assert {loaded["image"].dtype, loaded["label"].dtype} == {torch.float32}
    torch.testing.assert_close(loaded["image"][0], torch.arange(240).reshape(12, 20) / 255)
    np.testing.assert_array_equal(loaded["label"].numpy(), [MASK == 1, MASK == 2])


def test_item_without_label_gives_zeros(item):
    del item["label"]
    loaded = LoadItem(ClassMap.from_config(3))(item)
    assert loaded["is_labeled"] is False
    assert loaded["label"].shape == (3, 12, 20)
    assert not loaded["label"].any()


def test_colors(item, tmp_path):
    colors = np.zeros((12, 20, 3), dtype=np.uint8)
    colors[MASK == 1] = (255, 0, 0)
    Image.fromarray(colors).save(tmp_path / "m.png")
    label = read_label(item, item["label"], ClassMap.from_config({"vessel": [255, 0, 0], "tumour": [0, 0, 255]}))
    np.testing.assert_array_equal(label, [MASK == 1, np.zeros_like(MASK)])


def test_slice_of_a_label_volume(tmp_path):
    volume = np.random.default_rng(0).integers(0, 3, (4, 5, 6)).astype(np.uint8)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    item = Item(id="v_frame0002", image=str(tmp_path / "v.nii.gz"), group="v", frame=2)
    for axis in (-1, 0, 1):
        label = read_label(item, tmp_path / "v.nii.gz", ClassMap.from_config(2), slice_axis=axis)
        np.testing.assert_array_equal(label[1], np.take(volume, 2, axis) == 2)


def test_mask_of_another_size(item, tmp_path):
    Image.fromarray(MASK.T.copy()).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m.png: mask is 12 x 20 pixels, its image 20 x 12 \(turned by 90"):
        LoadItem(ClassMap())(item)


def test_class_maps_in_jpeg_are_refused(item, tmp_path):
    Image.fromarray(MASK * 100).save(tmp_path / "m.jpg")
    with pytest.raises(DataError, match=r"m.jpg: JPEG changes class values and colours; save class maps as PNG"):
        read_label(item, tmp_path / "m.jpg", ClassMap.from_config(2))


def test_grey_mask_where_classes_are_colors(item):
    with pytest.raises(DataError, match=r"m.png: mask: classes are RGB colours"):
        read_label(item, item["label"], ClassMap.from_config({"vessel": [255, 0, 0]}))


@pytest.mark.shared
def test_hippocampus_slice_is_the_volume_there(shared_data):
    item = find_items(shared_data / "hippocampus")[20]
    loaded = LoadItem(ClassMap.from_config(2))(item)
    volume = np.asarray(nib.load(item["label"]).dataobj)[..., item["frame"]]
    np.testing.assert_array_equal(loaded["label"].numpy(), [volume == 1, volume == 2])
    assert 0 <= loaded["image"].min() < loaded["image"].max() <= 1
