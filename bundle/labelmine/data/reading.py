"""Reading one image of any supported format through MONAI's readers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from monai.data import NibabelReader, PILReader
from PIL import Image, ImageOps, UnidentifiedImageError

from labelmine.data.deep_pictures import is_deep_color, read_deep_color, scale_deep_color
from labelmine.data.dicom import read_dicom
from labelmine.data.headers import file_kind, slice_index
from labelmine.data.intensities import (
    Window,
    check_numbers,
    percentile_limits,
    scale_by_percentiles,
    scale_by_window,
    scale_to_limits,
)
from labelmine.data.items import Item
from labelmine.errors import DataError

T = TypeVar("T")

#: Volumes kept decoded, so that neighbouring slices do not decompress their file again.
CACHED_VOLUMES = 4
#: Pillow's grey modes of more than 8 bits.
DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "F")


def read_image(item: Item, window: Window | None = None, slice_axis: int = -1) -> np.ndarray:
    """Read the image of an item at its original size.

    8-bit values are divided by 255; deeper ones pass ``window``, else the DICOM file's own window, else the 0.5-99.5
    percentiles (of the whole volume for NIfTI, so that its slices agree). EXIF orientation and palettes are applied,
    transparent pixels become black, grey is repeated.

    Args:
        item: Item with ``image``, and ``frame`` for a frame or slice.
        window: (centre, width) in the file's units, for DICOM, NIfTI and pictures of more than 8 bits.
        slice_axis: Axis along which NIfTI volumes are cut. Slices keep the array's axis order.

    Returns:
        (H, W, 3) float32 in [0, 1], RGB.

    Raises:
        DataError: A file that cannot be read, with its name and the reason.
    """
    path = Path(item["image"])
    pixels = guarded(path, lambda: check_shape(_read_scaled(path, item.get("frame"), window, slice_axis)))
    return np.ascontiguousarray(np.broadcast_to(pixels[..., None], (*pixels.shape, 3)) if pixels.ndim == 2 else pixels)


def guarded(path: Path, read: Callable[[], T]) -> T:
    """Read a file; whatever a decoder raises becomes a DataError that names it."""
    if not path.is_file():
        raise DataError(f"{path.name}: file does not exist; correct its path")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: file is empty (0 bytes); copy it again")
    try:
        return read()
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path.name}: picture of more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.3g} million pixels; cut it "
            "into tiles, or save it at a lower resolution, and its mask alike"
        ) from error
    except UnidentifiedImageError as error:
        message = f"{path.name}: content is no image in spite of its suffix; export it again"
        raise DataError(message) from error
    except Exception as error:  # decoders raise whatever damaged bytes happen to trip
        reason = " ".join(str(error).replace(str(path), path.name).split()) or type(error).__name__
        raise DataError(f"{path.name}: cannot be decoded ({reason}); copy or export it again") from error


def check_shape(pixels: np.ndarray) -> np.ndarray:
    """Refuse what is neither grey nor RGB.

    Args:
        pixels: (H, W) or (H, W, 3).

    Raises:
        DataError: Another shape.
    """
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3) or pixels.size == 0:
        raise DataError(f"expected (H, W) or (H, W, 3) pixels, got {pixels.shape}")
    return pixels


def _read_scaled(path: Path, frame: int | None, window: Window | None, slice_axis: int) -> np.ndarray:
    kind = file_kind(path)
    if kind == "dicom":
        return read_dicom(path, frame, window)
    if kind == "nifti":
        volume, limits = _volume(str(path), path.stat().st_mtime_ns)
        pixels = volume[slice_index(volume.shape, frame, slice_axis)]
        return scale_to_limits(pixels, *limits) if window is None else scale_by_window(pixels, window)
    if kind is None:
        raise DataError("unknown image format; expected PNG, JPEG, BMP, TIFF, GIF, WebP, DICOM or NIfTI")
    if is_deep_color(path):
        return scale_deep_color(read_deep_color(path))
    pixels = check_numbers(_read_picture(path))
    if pixels.dtype == np.uint8:
        return (pixels / np.float32(255)).astype(np.float32)
    return scale_by_percentiles(pixels) if window is None else scale_by_window(pixels, window)


@lru_cache(maxsize=CACHED_VOLUMES)
def _volume(path: str, _modified_ns: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Array of a NIfTI file in storage order, and its percentile limits; the time keeps stale arrays out."""
    reader = NibabelReader()
    array, _ = reader.get_data(reader.read(path))
    if array.dtype.names:
        raise DataError(f"NIfTI with compound values {array.dtype.names}; convert it to grey values")
    array.flags.writeable = False
    return array, percentile_limits(check_numbers(array))


def _read_picture(path: Path) -> np.ndarray:
    reader = PILReader(converter=plain_picture, reverse_indexing=False)
    return np.asarray(reader.get_data(reader.read(path))[0])


def upright(picture: Image.Image) -> Image.Image:
    """Decode fully, so that a truncated file is noticed, and turn as EXIF says."""
    pages = getattr(picture, "n_frames", 1)
    if pages > 1 and picture.format != "MPO":  # a phone's picture, with previews behind it
        raise DataError(f"holds {pages} pages; save each page as a file of its own")
    with picture:
        picture.load()
        return ImageOps.exif_transpose(picture)


def plain_picture(picture: Image.Image) -> Image.Image:
    """Grey of any depth, or RGB, without palette or transparency."""
    picture = upright(picture)
    if picture.mode in DEEP_MODES:
        return picture
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
