from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from labelmine.data import Item, check_items, find_items
from labelmine.data.mask_position import check_exif_turn, check_formats, check_size
from labelmine.errors import DataError

WIDE = np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)


def picture(path: Path, shape: tuple[int, int], turn: int = 1) -> str:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.zeros(shape, np.uint8)).save(path, exif=exif)
    return str(path)


def pair(folder: Path, turns: tuple[int, int], shape: tuple[int, int], suffix: str = "jpg") -> Item:
    image = picture(folder / f"a.{suffix}", shape, turns[0])
    return Item(id="a", image=image, group="a", label=picture(folder / "m.png", shape, turns[1]))


@pytest.mark.parametrize("turn", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_image_that_exif_turns_without_its_mask(tmp_path, turn, suffix):
    item = pair(tmp_path, (turn, 1), (48, 48), suffix)
    with pytest.raises(
        DataError, match=rf"m.png: its image a.{suffix} is (turned|mirrored|flipped).* by its EXIF"
    ) as e:
        check_exif_turn(item, (48, 48), (48, 48))
    assert "the mask is not turned alike" in str(e.value)
    assert "remove the EXIF tag of both" in str(e.value)


def test_mask_that_exif_turns_without_its_image(tmp_path):
    with pytest.raises(DataError, match=r"m.png: the mask is turned by 180 degrees by its EXIF orientation, its image"):
        check_exif_turn(pair(tmp_path, (1, 3), (48, 48)), (48, 48), (48, 48))


@pytest.mark.parametrize("turns", [(1, 1), (6, 6), (0, 1), (9, 1)])
def test_turned_alike(tmp_path, turns):
    assert check_exif_turn(pair(tmp_path, turns, (48, 48)), (48, 48), (48, 48)) == ""


def test_sizes_show_that_a_mask_was_drawn_on_the_turned_image(tmp_path):
    item = pair(tmp_path, (6, 1), (40, 64))
    assert "taken to be drawn on the turned image" in check_exif_turn(item, (64, 40), (64, 40))
    with pytest.raises(DataError, match="turned by 90 degrees clockwise"):
        check_exif_turn(item, (40, 64), (64, 40))


@pytest.mark.parametrize(
    ("size", "cause"),
    [
        ((64, 40), r"40 x 64 pixels, its image 64 x 40 \(turned by 90 degrees\?\)"),
        ((20, 32), r"32 x 20 pixels, its image 64 x 40 \(saved at another resolution, 0.5 times the image's\?\)"),
        ((81, 128), r"128 x 81 pixels, .*another resolution, 2.02 times"),
        ((30, 64), r"64 x 30 pixels, its image 64 x 40 \(cropped\?\)"),
        ((46, 70), r"70 x 46 pixels, its image 64 x 40 \(of the image before it was cropped\?\)"),
        ((20, 90), r"90 x 20 pixels, its image 64 x 40 \(of another image\?\)"),
    ],
)
def test_sizes_that_differ_name_their_likely_cause(size, cause):
    with pytest.raises(DataError, match=rf"m.png: mask is {cause}.*; export the mask at the image's size"):
        check_size(size, (40, 64), "folder/m.png")
    check_size((40, 64), (40, 64), "m.png")


def test_formats_whose_axes_differ(tmp_path):
    volume = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((32, 32), np.uint8), np.eye(4)), volume)
    mask, scan = picture(tmp_path / "m.png", (32, 32)), tmp_path / "a.dcm"
    shutil.copyfile(str(get_testdata_file("CT_small.dcm", download=False)), scan)
    for image, label, axes in (
        (volume, mask, r"m.png: mask is a picture \(rows first\), its image NIfTI \(x first\)"),
        (scan, volume, r"a.nii.gz: mask is NIfTI \(x first\), its image DICOM \(rows first\)"),
    ):
        with pytest.raises(DataError, match=axes):
            check_formats(Item(id="a", image=str(image), group="a", label=str(label)))
    check_formats(Item(id="a", image=str(scan), group="a", label=mask))


def test_a_set_with_one_turned_image_sets_it_aside(tmp_path):
    blob = np.zeros((40, 64), np.uint8)
    blob[5:15, 5:25] = 255
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3
    for name, options in (("plain", {}), ("turned", {"exif": exif})):
        Image.fromarray(WIDE).save(tmp_path / "images" / f"{name}.jpg", **options)
        Image.fromarray(blob).save(tmp_path / "masks" / f"{name}.png")
    checked = check_items(find_items(tmp_path), tmp_path / "q.csv")
    assert [item["id"] for item in checked.items] == ["plain"]
    assert "turned by 180 degrees by its EXIF orientation" in checked.set_aside[0].reason
