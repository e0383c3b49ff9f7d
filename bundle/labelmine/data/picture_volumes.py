"""A single picture as a NIfTI volume of one slice, lying where ITK would put the same PNG."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from labelmine.data.bombs import open_nifti
from labelmine.errors import DataError

#: x of the picture to the patient's left, y to the back (NIfTI counts to the right and to the front), 1 mm a pixel.
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])


def encode_picture_volume(picture: NDArray[np.uint8]) -> bytes:
    """Return the content of a ``.nii.gz`` file.

    Args:
        picture: (H, W) uint8.
    """
    volume = nib.Nifti1Image(np.ascontiguousarray(picture.T[:, :, None]), AFFINE)
    volume.header.set_xyzt_units("mm")
    volume.set_qform(AFFINE, code=1)
    volume.set_sform(AFFINE, code=1)
    return gzip.compress(volume.to_bytes(), mtime=0)


def read_picture_volume(path: str | Path) -> NDArray[np.float32]:
    """Read a picture back, wherever the axes lie now: programs turn them when they save.

    Returns:
        (H, W) float32.

    Raises:
        DataError: No NIfTI file, or one with several slices.
    """
    path = Path(path)
    try:
        volume = open_nifti(path)
        turn = nib.orientations.ornt_transform(
            nib.orientations.io_orientation(volume.affine), nib.orientations.io_orientation(AFFINE)
        )
        array = np.asarray(nib.orientations.apply_orientation(np.asanyarray(volume.dataobj), turn), dtype=np.float32)
    except Exception as error:  # nibabel raises whatever a damaged file happens to trip
        raise DataError(f"{path.name}: cannot be read as NIfTI ({type(error).__name__}); save it again") from error
    if array.ndim != 3 or array.shape[2] != 1:
        raise DataError(f"{path.name}: expected one slice, got {array.shape}; save the mask of one picture")
    return np.ascontiguousarray(array[:, :, 0].T)
