"""Reading one image, or one mask, of any supported format through MONAI's readers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from monai.data import NibabelReader, PILReader
from PIL import Image, ImageOps, UnidentifiedImageError

from labelmine.data.deep_pictures import is_deep_color, read_deep_color, scale_deep_color
from labelmine.data.dicom import read_dicom
from labelmine.data.headers import file_kind, slice_index
from labelmine.data.intensities import (
    Window,
    percentile_limits,
    scale_by_percentiles,
    scale_by_window,
    scale_to_limits,
)
from labelmine.data.items import Item
from labelmine.errors import DataError

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
        window: (center, width) in the file's units, for DICOM, NIfTI and pictures of more than 8 bits.
        slice_axis: Axis along which NIfTI volumes are cut. Slices keep the array's axis order.

    Returns:
        (H, W, 3) float32 in [0, 1], RGB.

    Raises:
        DataError: A file that cannot be read, with its name and the reason.
    """
    path = Path(item["image"])
    pixels = _guarded(path, lambda: _read_scaled(path, item.get("frame"), window, slice_axis))
    return np.ascontiguousarray(np.broadcast_to(pixels[..., None], (*pixels.shape, 3)) if pixels.ndim == 2 else pixels)


def read_mask(path: str | Path, frame: int | None = None, slice_axis: int = -1, color: bool = False) -> np.ndarray:
    """Read the stored values of a mask; palettes that are not grey give their indices, the usual class map.

    Masks in JPEG, whose values are smeared by compression, are cut at half of their maximum, to 0 and 255.

    Args:
        path: Mask file: PNG, TIFF, BMP, JPEG or NIfTI.
        frame: Slice of a NIfTI volume; ignored for pictures, which hold one mask.
        slice_axis: Axis along which NIfTI volumes are cut.
        color: Whether RGB colours stand for classes, so that palettes and JPEG values are left as they look.

    Returns:
        (H, W) or (H, W, 3), number type as stored.

    Raises:
        DataError: A file that cannot be read, with its name and the reason.
    """
    path = Path(path)
    return _guarded(path, lambda: _read_mask_values(path, frame, slice_axis, color))


def _guarded(path: Path, read: Callable[[], np.ndarray]) -> np.ndarray:
    """Turn whatever a decoder raises into a DataError that names the file."""
    if not path.is_file():
        raise DataError(f"{path.name}: file does not exist; correct its path")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: file is empty (0 bytes); copy it again")
    try:
        pixels = read()
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
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[-1] != 3) or pixels.size == 0:
        raise DataError(f"{path.name}: expected (H, W) or (H, W, 3) pixels, got {pixels.shape}")
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
        raise DataError("unknown image format; expected PNG, JPEG, BMP, TIFF, DICOM or NIfTI")
    if is_deep_color(path):
        return scale_deep_color(read_deep_color(path))
    pixels = _read_picture(path, _plain_image)
    if pixels.dtype == np.uint8:
        return (pixels / np.float32(255)).astype(np.float32)
    return scale_by_percentiles(pixels) if window is None else scale_by_window(pixels, window)


def _read_mask_values(path: Path, frame: int | None, slice_axis: int, color: bool) -> np.ndarray:
    kind = file_kind(path)
    if kind == "nifti":
        volume, _ = _volume(str(path), path.stat().st_mtime_ns)
        return np.asarray(volume[slice_index(volume.shape, frame, slice_axis)])
    if kind != "picture":
        raise DataError("masks are read from PNG, TIFF, BMP, JPEG or NIfTI; export this one as such")
    mask = _read_picture(path, _plain_image if color else _plain_mask)
    if path.suffix.lower() in (".jpg", ".jpeg") and not color:
        return np.where(mask > mask.max() / 2, np.uint8(255), np.uint8(0))
    return mask


@lru_cache(maxsize=CACHED_VOLUMES)
def _volume(path: str, _modified_ns: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Array of a NIfTI file in storage order, and its percentile limits; the time keeps stale arrays out."""
    reader = NibabelReader()
    array, _ = reader.get_data(reader.read(path))
    if array.dtype.names:
        raise DataError(f"NIfTI with compound values {array.dtype.names}; convert it to grey values")
    array.flags.writeable = False
    return array, percentile_limits(array)


def _read_picture(path: Path, converter: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    reader = PILReader(converter=converter, reverse_indexing=False)
    return np.asarray(reader.get_data(reader.read(path))[0])


def _upright(picture: Image.Image) -> Image.Image:
    """Decode fully, so that a truncated file is noticed, and turn as EXIF says."""
    pages = getattr(picture, "n_frames", 1)
    if pages > 1:
        raise DataError(f"holds {pages} pages; save each page as a file of its own")
    with picture:
        picture.load()
        return ImageOps.exif_transpose(picture)


def _plain_image(picture: Image.Image) -> Image.Image:
    """Grey of any depth, or RGB, without palette or transparency."""
    picture = _upright(picture)
    if picture.mode in DEEP_MODES:
        return picture
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _plain_mask(picture: Image.Image) -> Image.Image:
    """Like an image, except that the palette of a class map only colours it."""
    if picture.mode == "P" and not _is_grey_palette(picture):
        picture = _upright(picture)
        return Image.fromarray(np.asarray(picture))
    return _plain_image(picture)


def _is_grey_palette(picture: Image.Image) -> bool:
    palette = np.asarray(picture.getpalette(), dtype=np.uint8).reshape(-1, 3)
    used = palette[[index for index in np.unique(np.asarray(picture)) if index < len(palette)]]
    return bool((used == used[:, :1]).all())
