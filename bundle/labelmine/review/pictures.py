"""What a browser gets of images and masks: PNG files, with all grey levels where an image is deep."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage
from skimage.filters import gaussian
from skimage.segmentation import find_boundaries

from labelmine.data import ImageSet, Item, read_image
from labelmine.errors import DataError

#: (centre, width) that holds the values of most pictures, and of any.
MOST_VALUES, ALL_VALUES = (0.0, 2.0**20), (0.0, 2.0**40)
#: Looks after which a picture is taken to be of one value.
LOOKS = 6
#: Values that float32 tells apart in a window, with room to spare.
TOLD_APART = 2.0**22
#: Values of a picture that is sent with all its levels.
LEVELS = 65535
#: Longest side of a thumbnail in pixels.
THUMBNAIL = 112
#: Most pixels of a mask that is taken from a browser, all classes together.
MAX_PIXELS = 64_000_000
#: Standard deviation in pixels of the smoothing of an outline, for an image of 512 pixels.
SMOOTHING = 2.0
Tidying = Literal["smooth", "fill"]


@dataclass(frozen=True)
class Picture:
    """An image as it is sent.

    Attributes:
        png: PNG in colour; of a deep image red holds the high byte of each grey level and green the low one.
        deep: Whether it is.
        low: Level in [0, 1] of the full range that is shown black at first.
        high: Level that is shown white.
    """

    png: bytes
    deep: bool = False
    low: float = 0.0
    high: float = 1.0


def picture_of(item: Item, images: ImageSet) -> Picture:
    """Read an image for the page; deep ones (DICOM, NIfTI, 16 bits) keep their levels, so that the window can move."""
    shown = read_image(item, images.window, images.slice_axis)
    every = read_image(item, MOST_VALUES, images.slice_axis)
    if np.array_equal(shown, every) or not _is_grey(every):
        return Picture(_png((shown * 255).round().astype(np.uint8)))
    levels = (_full_range(item, images.slice_axis, every[..., 0]) * LEVELS).round()
    packed = np.stack([levels // 256, levels % 256, np.zeros_like(levels)], axis=-1).astype(np.uint8)
    return Picture(_png(packed), True, *_window((levels / LEVELS).astype(np.float32), shown[..., 0]))


def thumbnail(picture: NDArray[np.float32], mask: NDArray[np.bool_]) -> bytes:
    """Return a small JPEG of an image (H, W, 3) in [0, 1] with the outline of its label (K, H, W)."""
    pixels = (picture * 255).round().astype(np.uint8)
    small = Image.fromarray(pixels)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    drawn = np.array(small)
    for channel in mask:
        part = Image.fromarray(channel.astype(np.uint8) * 255).resize(small.size, Image.Resampling.BILINEAR)
        drawn[find_boundaries(np.asarray(part) > 127, mode="inner")] = (255, 214, 0)
    content = io.BytesIO()
    Image.fromarray(drawn).save(content, format="JPEG", quality=80)
    return content.getvalue()


def stacked_png(mask: NDArray[np.bool_]) -> bytes:
    """Return masks (K, H, W) as one grey PNG (K * H, W) of 0 and 255, class below class."""
    return _png(mask.reshape(-1, mask.shape[-1]).astype(np.uint8) * 255)


def from_stacked_png(content: bytes, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Read what ``stacked_png`` writes, or a browser's canvas of it.

    Args:
        content: The file; its size is looked at before a pixel is decoded.
        shape: (K, H, W) that it must have.

    Raises:
        DataError: No PNG, or one of another size.
    """
    classes, height, width = shape
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as file:
            if file.size != (width, classes * height) or width * classes * height > MAX_PIXELS:
                raise DataError(
                    f"mask: expected {width} x {classes * height} pixels, got {file.size[0]} x {file.size[1]}"
                )
            pixels = np.asarray(file.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"mask: expected a PNG file, got {type(error).__name__}") from error
    return np.asarray(pixels.reshape(shape) > 127)


def tidied(mask: NDArray[np.bool_], how: Tidying) -> NDArray[np.bool_]:
    """Return a mask (K, H, W) with smooth outlines, or without holes."""
    if how == "fill":
        return np.stack([ndimage.binary_fill_holes(channel) for channel in mask])
    sigma = max(SMOOTHING * max(mask.shape[1:]) / 512, 0.7)
    return np.stack([gaussian(channel.astype(np.float32), sigma=sigma) > 0.5 for channel in mask])


def _full_range(item: Item, slice_axis: int, seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a grey image (H, W) in [0, 1] whose window is as wide as its values, whatever their units.

    Each look at it through a window tells its range more closely, as float32 allows, until the window fits; ``seen``
    is the first, by ``MOST_VALUES``.
    """
    centre, width = MOST_VALUES
    if seen.min() <= 0 or seen.max() >= 1:
        centre, width = ALL_VALUES
        seen = read_image(item, ALL_VALUES, slice_axis)[..., 0]
    inverted = read_image(item, (2 * width, width), slice_axis).min() > 0  # MONOCHROME1 shows low values bright
    for _ in range(LOOKS):
        ends = np.sort(1 - np.array([seen.min(), seen.max()]) if inverted else np.array([seen.min(), seen.max()]))
        low, high = (float(v) for v in centre - width / 2 + ends.astype(np.float64) * width)
        narrower = high - low + 2 * width / TOLD_APART
        if narrower > width / 2:
            break
        centre, width = (low + high) / 2, narrower
        seen = read_image(item, (centre, width), slice_axis)[..., 0]
    return np.asarray((seen - seen.min()) / max(float(np.ptp(seen)), 1e-6), dtype=np.float32)


def _is_grey(image: NDArray[np.float32]) -> bool:
    return bool((image[..., 0] == image[..., 1]).all() and (image[..., 0] == image[..., 2]).all())


def _window(levels: NDArray[np.float32], shown: NDArray[np.float32]) -> tuple[float, float]:
    """Find which levels a linear window made black and white, from those between; all levels where it made no ramp."""
    between = (shown > 0.02) & (shown < 0.98)
    if between.sum() < 2 or np.ptp(levels[between]) == 0:
        return 0.0, 1.0
    slope, offset = np.polyfit(shown[between].astype(np.float64), levels[between].astype(np.float64), 1)
    return float(offset), float(offset + slope)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG", compress_level=1)  # it only crosses this machine
    return content.getvalue()
