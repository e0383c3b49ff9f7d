"""Reading the values that a mask file holds, as they were meant: by its content, whatever its suffix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from labelmine.data.bombs import open_nifti
from labelmine.data.classes import Color
from labelmine.data.deep_pictures import TIFF_STARTS
from labelmine.data.headers import file_kind, slice_index
from labelmine.data.picture_volumes import read_picture_volume
from labelmine.data.reading import CACHED_VOLUMES, check_shape, guarded, plain_picture, upright
from labelmine.data.volume_grids import mask_on_image
from labelmine.errors import DataError

LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "AVIF")
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
#: Values nearer to integers than this are integers that a scale in the file has shifted.
INTEGER_TOLERANCE = 0.05
#: Resampling with splines swings below 0 by less than this share of the highest value.
UNDERSHOOT = 0.2
WHITE_IS_ZERO = 0
BLACK_AND_WHITE = {(0, 0, 0), (255, 255, 255)}

WHITE_FOR_ZERO = (
    "TIFF stored white-is-zero (photometric 0), of which programs show the foreground as black or as white; save the "
    "mask as PNG with 0 for background"
)

ROUNDED = "mask values that are off by rounding (a scale in the file) were taken as their integers"
PICTURE_VOLUME = "NIfTI masks of pictures were turned by their affine, x first, into rows and columns"


@dataclass(frozen=True)
class StoredMask:
    """What a mask file holds, not yet split into classes.

    Attributes:
        values: (H, W), or (H, W, 3) where the file is in colour; 0 and up.
        is_lossy: Compression smears the values.
        palette: Colour of each index that occurs, where ``values`` are indices of a palette that is not grey.
        assumptions: What was assumed, one sentence each.
    """

    values: NDArray[Any]
    is_lossy: bool = False
    palette: Mapping[int, Color] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()


def read_stored_mask(
    path: str | Path,
    frame: int | None = None,
    slice_axis: int = -1,
    color: bool = False,
    image: str | Path | None = None,
) -> StoredMask:
    """Read the values of a mask file; palettes that are not grey give their indices, the usual class map.

    Args:
        path: Mask file: PNG, TIFF, BMP, GIF, WebP, JPEG or NIfTI.
        frame: Slice of a NIfTI volume; ignored for pictures, which hold one mask.
        slice_axis: Axis along which NIfTI volumes are cut.
        color: Whether RGB colours stand for classes, so that palettes are left as they look.
        image: The mask's image, onto which a NIfTI mask is brought; None: as it is stored.

    Raises:
        DataError: A file that cannot be read, or whose values cannot be a mask, with its name and the reason.
    """
    path = Path(path)
    stored = guarded(path, lambda: _read(path, frame, slice_axis, color, image))
    guarded(path, lambda: check_shape(stored.values))
    return stored


def read_mask(path: str | Path, frame: int | None = None, slice_axis: int = -1, color: bool = False) -> NDArray[Any]:
    """Read the bare values of a mask file; see ``read_stored_mask``.

    Returns:
        (H, W) or (H, W, 3), number type as stored.
    """
    return read_stored_mask(path, frame, slice_axis, color).values


def _read(path: Path, frame: int | None, slice_axis: int, color: bool, image: str | Path | None) -> StoredMask:
    kind = file_kind(path)
    if kind == "picture":
        return _read_picture(path, color)
    if kind != "nifti":
        raise DataError("masks are read from PNG, TIFF, BMP, GIF, WebP, JPEG or NIfTI; export this one as such")
    if image and file_kind(Path(image)) == "picture":
        return _read_picture_volume(path)
    source = Path(image) if image and file_kind(Path(image)) == "nifti" and Path(image).is_file() else None
    times = tuple(one.stat().st_mtime_ns for one in (path, source) if one is not None)
    volume, notes = _volume(path, source, times)
    return StoredMask(volume[slice_index(volume.shape, frame, slice_axis)], assumptions=notes)


@lru_cache(maxsize=CACHED_VOLUMES)
def _volume(path: Path, image: Path | None, _modified_ns: tuple[int, ...]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Values of a NIfTI mask on its image's grid, and what was assumed; the times keep stale arrays out."""
    if open_nifti(path).get_data_dtype().names:
        raise DataError("NIfTI with compound values; convert it to class values")
    array, placed = mask_on_image(path, image) if image else (np.asanyarray(open_nifti(path).dataobj), "")
    array, rounded = _label_values(array)
    array.flags.writeable = False
    return array, tuple(filter(None, (placed, rounded)))


def _read_picture_volume(path: Path) -> StoredMask:
    header = open_nifti(path).header
    if not (header["sform_code"] or header["qform_code"]) or np.array_equal(open_nifti(path).affine, np.eye(4)):
        raise DataError(
            "NIfTI mask of a picture whose header does not say how its axes lie (no qform and sform, or identity), so "
            "that rows and columns may be swapped; save it as PNG"
        )
    values, rounded = _label_values(read_picture_volume(path))
    return StoredMask(values, assumptions=tuple(filter(None, (PICTURE_VOLUME, rounded))))


def _read_picture(path: Path, color: bool) -> StoredMask:
    try:
        opened = Image.open(path)
    except UnidentifiedImageError:
        with path.open("rb") as file:
            if file.read(4) not in TIFF_STARTS:
                raise
        return _read_wide_tiff(path)
    with opened as picture:
        if isinstance(picture, TiffImagePlugin.TiffImageFile) and _is_white_zero(picture):
            raise DataError(WHITE_FOR_ZERO)
        lossy = _is_lossy(picture, path)
        if picture.mode != "P" or color or _is_grey_palette(picture):
            values, note = _label_values(np.asarray(plain_picture(picture)))
            return StoredMask(values, lossy, assumptions=(note,) if note else ())
        colors = _palette(picture)
        indices = np.asarray(upright(picture))
        return StoredMask(indices, lossy, {int(i): colors[i] for i in np.unique(indices) if i < len(colors)})


def _read_wide_tiff(path: Path) -> StoredMask:
    """Read what Pillow does not: values of 64 bits, as NumPy has them by default."""
    with tifffile.TiffFile(path) as file:
        if len(file.pages) > 1:
            raise DataError(f"holds {len(file.pages)} pages; save each page as a file of its own")
        if file.pages.first.photometric == WHITE_IS_ZERO:
            raise DataError(WHITE_FOR_ZERO)
        values, note = _label_values(file.pages.first.asarray())
    return StoredMask(values, assumptions=(note,) if note else ())


def _is_white_zero(picture: TiffImagePlugin.TiffImageFile) -> bool:
    return picture.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == WHITE_IS_ZERO


def _is_lossy(picture: Image.Image, path: Path) -> bool:
    if picture.format == "TIFF":
        return picture.info.get("compression") in LOSSY_TIFF
    if picture.format == "WEBP":
        with path.open("rb") as file:
            return _is_lossy_webp(file.read())
    return picture.format in LOSSY_FORMATS


def _is_lossy_webp(content: bytes) -> bool:
    """Whether the picture is in a ``VP8 `` chunk of the RIFF file, and not in ``VP8L`` (lossless)."""
    place = 12
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8 "
        place += 8 + size + size % 2
    return True


def _palette(picture: Image.Image) -> list[Color]:
    levels = picture.getpalette() or []
    return [(red, green, blue) for red, green, blue in zip(levels[::3], levels[1::3], levels[2::3], strict=True)]


def _is_grey_palette(picture: Image.Image) -> bool:
    """Whether the colours are grey levels: all of them, or black and white alone are used."""
    colors = _palette(picture)
    if all(red == green == blue for red, green, blue in colors):
        return True
    return {colors[index] for index in np.unique(np.asarray(picture)) if index < len(colors)} <= BLACK_AND_WHITE


def _label_values(values: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Integers where values are integers but for rounding; refuse what cannot be a mask."""
    if values.dtype == bool:
        return values.astype(np.uint8), ""
    if not np.isfinite(values).all():
        raise DataError("mask holds negative or missing values (NaN); expected 0 for background and up")
    if values.dtype.kind == "f":
        nearest = np.rint(values)
        if np.abs(values - nearest).max(initial=0) <= INTEGER_TOLERANCE and nearest.any():
            note = "" if np.array_equal(values, nearest) else ROUNDED
            return _refuse_negative(nearest).astype(np.min_scalar_type(int(nearest.max()))), note
        lowest = -max(0.49, UNDERSHOOT * float(values.max(initial=0)))
        values = np.where((values < 0) & (values > lowest), 0, values).astype(values.dtype)
    return _refuse_negative(values), ""


def _refuse_negative(values: NDArray[Any]) -> NDArray[Any]:
    lowest = values.min(initial=0)
    if lowest < 0:
        raise DataError(
            f"mask holds negative or missing values (lowest {lowest:g}: 255 stored with a sign, or pixels not looked "
            "at?); expected 0 for background and up; save it with unsigned values"
        )
    return values
