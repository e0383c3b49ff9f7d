"""Colour pictures of 16 bits, which Pillow cuts to 8 or cannot open, and TIFF files of more than 4 GiB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

from labelmine.errors import DataError

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOR_TYPES = (2, 6)
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Bits that cameras and scanners store in 16.
_USED_BITS = (9, 10, 11, 12, 13, 14, 15, 16)
USED_BITS = "colour pictures of 16 bits that use only {bits} of them were scaled to {bits} bits"


def is_deep_color(path: Path) -> bool:
    """Whether a file is a PNG or TIFF in colour with 16 bits or floats, by its header."""
    with path.open("rb") as file:
        start = file.read(26)
    if start.startswith(_PNG_START):
        return len(start) == 26 and start[24] == 16 and start[25] in _PNG_COLOR_TYPES
    if start[:4] not in TIFF_STARTS:
        return False
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            return page.samplesperpixel >= 3 and page.dtype is not None and page.dtype.itemsize > 1
    except Exception:  # damaged: Pillow says what is wrong
        return False


def read_deep_color(path: Path) -> NDArray[Any]:
    """Read the stored values of a picture for which ``is_deep_color``; transparent pixels of a PNG become black.

    Returns:
        (H, W, 3).

    Raises:
        DataError: A TIFF of several pages.
        DecompressionBombError: More pixels than Pillow allows.
    """
    with path.open("rb") as file:
        start = file.read(24)
    is_png = start.startswith(_PNG_START)
    if is_png:
        _check_size(int.from_bytes(start[16:20]) * int.from_bytes(start[20:24]))
    if is_png:
        data = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
        pixels = decode_image(data, ImageReadMode.UNCHANGED).permute(1, 2, 0).numpy()
        opaque = pixels[..., 3:] / np.float64(2**16 - 1) if pixels.shape[-1] == 4 else 1
        return np.asarray(np.rint(pixels[..., :3] * opaque), dtype=np.uint16)
    with tifffile.TiffFile(path) as tiff:
        if len(tiff.pages) > 1:
            raise DataError(f"holds {len(tiff.pages)} pages; save each page as a file of its own")
        page = tiff.pages.first
        _check_size(page.imagewidth * page.imagelength)
        pixels = page.asarray()
        if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            pixels = np.moveaxis(pixels, 0, -1)
    return np.asarray(pixels[..., :3])


def _check_size(count: int) -> None:
    """The limit that Pillow keeps for all other pictures."""
    if Image.MAX_IMAGE_PIXELS is not None and count > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{count} pixels")


def used_bits(pixels: NDArray[Any]) -> int:
    """Bits of integers that are in use, 9 to 16: the fewest that hold the highest value; 16 where it is 0."""
    highest = int(pixels.max(initial=0))
    return next((bits for bits in _USED_BITS if 255 < highest < 2**bits), 16)


def scale_deep_color(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Map stored colour to [0, 1], all channels alike: integers by the bits in use, floats as they are up to 1.

    Raises:
        DataError: Float colours outside 0 to 1.
    """
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all() or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 1:
            raise DataError("colour as floats outside 0 to 1, whose range is not known; save it as 8 or 16 bits")
        return pixels.astype(np.float32)
    if pixels.dtype != np.uint16:
        raise DataError(f"colour stored as {pixels.dtype}, whose range is not known; save it as 8 or 16 bits")
    return (pixels / np.float32(2 ** used_bits(pixels) - 1)).astype(np.float32)
