from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from labelmine.data.picture_volumes import encode_picture_volume, read_picture_volume
from labelmine.errors import DataError

PICTURE = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_pixels_lie_where_slicer_shows_them_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(encode_picture_volume(PICTURE))
    volume = nib.load(path)
    assert volume.shape == (4, 3, 1)
    assert nib.aff2axcodes(volume.affine) == ("L", "P", "S")  # to the right of the screen, down, up to the viewer
    assert volume.get_fdata()[2, 1, 0] == PICTURE[1, 2]
    assert volume.header.get_zooms() == (1, 1, 1)
    assert (read_picture_volume(path) == PICTURE).all()


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "ALS"])
def test_whatever_the_axes_of_the_file(axes: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(encode_picture_volume(PICTURE))
    volume = nib.load(tmp_path / "a.nii.gz")
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(volume.affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    nib.save(volume.as_reoriented(turn), tmp_path / "b.nii.gz")
    assert (read_picture_volume(tmp_path / "b.nii.gz") == PICTURE).all()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a.nii.gz: cannot be read as NIfTI"):
        read_picture_volume(tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 2), np.uint8), np.eye(4)), tmp_path / "b.nii.gz")
    with pytest.raises(DataError, match=r"b.nii.gz: expected one slice, got \(3, 3, 2\)"):
        read_picture_volume(tmp_path / "b.nii.gz")
