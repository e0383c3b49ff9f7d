"""Mask volumes brought onto the grid of their image: compared by affine, not by shape alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation, ornt_transform
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from labelmine.data.bombs import open_nifti
from labelmine.errors import DataError

#: Voxels that lie nearer than this to each other are one voxel, as nearest neighbour would have it.
SAME_VOXEL = 0.49
#: A shift of voxels up to this is rounding of the header, and not worth a word.
ROUNDING = 0.05

TURNED = "mask volumes stored in another orientation than their image were turned onto it by their affine"
RESAMPLED = "mask volumes on another grid than their image were resampled onto it with nearest neighbour, by affine"
SHIFTED = "mask volumes shifted against their image by less than half a voxel were taken to lie on its grid"
NO_GEOMETRY = (
    "mask volumes, or their images, whose header says nothing usable of their place (no qform and sform, identity, "
    "or no finite affine) were taken to be stored in the order of their image"
)


def mask_on_image(mask: Path, image: Path) -> tuple[NDArray[Any], str]:
    """Read a mask volume as it lies on its image.

    Args:
        mask: NIfTI file.
        image: NIfTI file of the image.

    Returns:
        The mask's values in the image's shape and order of axes, and what was assumed or done ("" for one grid).

    Raises:
        DataError: Another shape without geometry, or a grid that does not cover the image.
    """
    label, target = _volume(mask), _volume(image)
    shape = open_nifti(image).shape
    same_shape = label.shape == target.shape
    same_affine = bool(np.allclose(label.affine, target.affine, atol=1e-4))
    if same_shape and same_affine:
        return _values(label).reshape(shape), ""
    if not (_has_geometry(label) and _has_geometry(target)):
        if not same_shape:
            raise DataError(f"{_sizes(label, target)}, and one of them does not say where it lies; export it again")
        return _values(label).reshape(shape), NO_GEOMETRY
    placed, note = _place(label, target)
    return placed.reshape(shape), note


def _place(label: Any, target: Any) -> tuple[NDArray[Any], str]:
    shift = _shift(label, target)
    if shift <= SAME_VOXEL:
        return _values(label), SHIFTED if shift > ROUNDING else ""
    turned = _turned(label, target)
    if _shift(turned, target) <= SAME_VOXEL:
        return _values(turned), TURNED
    outside = _outside(label, target)
    if outside > SAME_VOXEL + 0.02:
        raise DataError(
            f"{_sizes(label, target)}, and by its affine it leaves up to {outside:.0f} voxels of the image uncovered "
            "(cropped, shifted, or of another scan); export the mask on the image's grid"
        )
    resampled = resample_from_to(label, target, order=0, mode="nearest")
    return np.asanyarray(resampled.dataobj), RESAMPLED


def _volume(path: Path) -> Any:
    """The file as a volume of three axes; axes of length 1 behind the third are dropped."""
    volume = open_nifti(path)
    shape = volume.shape
    if len(shape) == 3:
        return volume
    if any(length > 1 for length in shape[3:]):
        raise DataError(f"mask or image volume has shape {shape}; expected three dimensions")
    padded = (*shape, 1, 1)[:3]
    return type(volume)(np.asanyarray(volume.dataobj).reshape(padded), volume.affine, volume.header)


def _values(volume: Any) -> NDArray[Any]:
    return np.asanyarray(volume.dataobj)


def _has_geometry(volume: Any) -> bool:
    """Whether the header says where the volume lies; an identity is what programs write that do not know."""
    codes = [int(volume.header[name]) for name in ("sform_code", "qform_code") if name in volume.header]
    affine = volume.affine
    if not any(codes) or not np.isfinite(affine).all() or np.array_equal(affine, np.eye(4)):
        return False
    return bool(abs(np.linalg.det(affine[:3, :3])) > 1e-9)


def _corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(8, 4) homogeneous indices of the corner voxels."""
    steps = np.array(np.meshgrid(*[(0, length - 1) for length in shape], indexing="ij")).reshape(3, -1).T
    return np.hstack([steps, np.ones((len(steps), 1))]).astype(np.float64)


def _shift(label: Any, target: Any) -> float:
    """Largest distance, in voxels along an axis, between equal indices of both; infinite for other shapes."""
    if label.shape != target.shape:
        return float("inf")
    corners = _corners(target.shape)
    moved = corners @ (np.linalg.inv(target.affine) @ label.affine).T
    return float(np.abs(moved - corners)[:, :3].max())


def _turned(label: Any, target: Any) -> Any:
    """The mask with its axes permuted and flipped so that they run as the image's do."""
    turn = ornt_transform(io_orientation(label.affine), io_orientation(target.affine))
    return label.as_reoriented(turn)


def _outside(label: Any, target: Any) -> float:
    """How far the image's voxel centres lie outside those of the mask, in voxels of the mask."""
    places = (_corners(target.shape) @ (np.linalg.inv(label.affine) @ target.affine).T)[:, :3]
    return float(max((-places).max(), (places - (np.array(label.shape) - 1)).max()))


def _sizes(label: Any, target: Any) -> str:
    kept = [tuple(length for length in volume.shape if length > 1) for volume in (label, target)]
    turned = kept[0] != kept[1] and sorted(kept[0]) == sorted(kept[1])
    hint = " (axes swapped?)" if turned else ""
    return f"mask volume has shape {kept[0]}, its image {kept[1]}{hint}"
