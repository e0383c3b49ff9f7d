"""Masks are found by their images' exact names."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from labelmine.data import Item, MaskFolder
from labelmine.errors import DataError

#: Names that are parts, or glob patterns, of each other.
NAMES = ("scan", "scan.a", "img[1]", "img1", "deep/scan", "a*")


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return path


def item(image_id: str, frame: int | None = None) -> Item:
    found = Item(id=image_id, image=f"{image_id}.png", group="patient")
    return found if frame is None else Item({**found, "frame": frame})


@pytest.mark.parametrize("missing", [None, *NAMES])
def test_a_mask_is_named_exactly_like_its_image(missing: str | None, tmp_path: Path) -> None:
    files = {name: save(tmp_path / f"{name}.png") for name in NAMES if name != missing}
    for stranger in ("scan.json", "scan.csv", ".scan.png", "__MACOSX/scan.a.png"):
        (tmp_path / stranger).parent.mkdir(exist_ok=True)
        (tmp_path / stranger).write_text("no mask")
    masks = MaskFolder(tmp_path)
    assert {name: masks.find(name) for name in NAMES} == {name: files.get(name) for name in NAMES}
    assert ("scan" in masks) is (missing != "scan")


def test_a_group_s_name_is_no_image_s_name(tmp_path: Path) -> None:
    save(tmp_path / "patient.png")
    save(tmp_path / "other.png")
    assert MaskFolder(tmp_path, [item("other"), item("scan")]).find("scan") is None


def test_slices_have_masks_of_their_own_or_a_volume(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 3), np.uint8), np.eye(4)), tmp_path / "scan.v2.nii.gz")
    own = save(tmp_path / "scan.v2_frame0001.png")
    masks = MaskFolder(tmp_path, [item(f"scan.v2_frame000{n}", n) for n in range(2)])
    assert masks.find("scan.v2_frame0000") == tmp_path / "scan.v2.nii.gz"
    assert masks.find("scan.v2_frame0001") == own


def test_what_is_no_folder_of_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"masks_dir: .*away is no folder"):
        MaskFolder(tmp_path / "away")
    (tmp_path / "scores.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"masks_dir: no mask in .*; expected PNG, TIFF, BMP, JPEG or NIfTI files"):
        MaskFolder(tmp_path)
    save(tmp_path / "scan.png")
    with pytest.raises(DataError, match=r"none of the 1 masks in .* expected names like 'other', got 'scan'"):
        MaskFolder(tmp_path, [item("other")])
    save(tmp_path / "scan.tif")
    with pytest.raises(DataError, match=r"scan\.png and scan\.tif are masks of one image; keep one of them"):
        MaskFolder(tmp_path)
