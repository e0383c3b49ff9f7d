"""The levels of one mask file, counted: how often each value occurs, and whether it fills areas or smears edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected_regions

from labelmine.data.classes import LOSSY_NOISE, Color
from labelmine.data.stored_masks import StoredMask

#: More distinct values than this are counted in steps of the range; no class map has so many.
MAX_LEVELS = 1024
#: Up to so many levels are counted one by one.
FEW_LEVELS = 4
#: RGB channels of a lossy mask that differ by less are grey, coloured by compression.
CHROMA_NOISE = 48
#: Other colours of lossy masks are counted in these steps, as compression makes hundreds of them.
COARSE_COLOR = 85


@dataclass(frozen=True)
class MaskLevels:
    """Values of one mask (or several, pooled), in ascending order, and how many pixels hold each.

    Attributes:
        path: The mask file.
        values: (N,) grey values, or (N, 3) RGB colours.
        pixels: (N,) pixels with the value.
        solid: (N,) those among them whose 3 x 3 neighbourhood holds no other value (of lossy masks: none far off).
        ramp: (N,) those among them between a lower and a higher neighbour; 0 for colours.
        border: (N,) those among them on the border of the picture.
        step: Mean difference between neighbours where they differ.
        is_lossy: Compression smears the values.
        palette: Colour of each index that occurs, for masks of palette indices.
        regions: Connected regions of equal positive value; 0 where not counted (fewer than two positive values).
        masks: (N,) masks that hold the value.
    """

    path: str
    values: NDArray[Any]
    pixels: NDArray[np.int64]
    solid: NDArray[np.int64]
    ramp: NDArray[np.int64]
    border: NDArray[np.int64]
    step: float = 0.0
    is_lossy: bool = False
    palette: Mapping[int, Color] = field(default_factory=dict)
    regions: int = 0
    masks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def is_color(self) -> bool:
        """Whether values are RGB colours."""
        return self.values.ndim == 2

    @property
    def highest(self) -> float:
        """Highest value of any channel."""
        return float(self.values.max(initial=0))

    @property
    def is_positive(self) -> NDArray[np.bool_]:
        """(N,) whether a value is not 0, or not black."""
        return np.asarray(self.values.any(axis=-1) if self.is_color else self.values > 0)


def measure_levels(stored: StoredMask, path: str, keep_color: bool = False) -> MaskLevels:
    """Count the levels of a mask.

    Args:
        stored: The mask.
        path: Its file.
        keep_color: Whether colours stay colours even where they are all grey.
    """
    plane, is_color = _plane(stored, keep_color)
    values, index = _indexed(plane)
    count = len(values)
    low, high = _around(index, np.minimum), _around(index, np.maximum)
    is_noisy = stored.is_lossy and not is_color and values[-1] > 2 * LOSSY_NOISE
    edge = values[high] - values[low] > 2 * LOSSY_NOISE if is_noisy else low != high
    # Two levels have nothing between them.
    ramp = (low < index) & (index < high) if count > 2 and not is_color else None
    return MaskLevels(
        path=path,
        values=_colors(values) if is_color else values,
        pixels=_counts(index, count),
        solid=_counts(index[~edge], count),
        ramp=_counts(index[ramp], count) if ramp is not None else np.zeros(count, dtype=np.int64),
        border=_counts(_border(index), count),
        step=float((values[high[edge]] - values[low[edge]]).mean()) if count > 2 and edge.any() else 0.0,
        is_lossy=stored.is_lossy,
        palette=stored.palette,
        regions=_regions(plane, values, stored.is_lossy or is_color),
        masks=np.ones(count, dtype=np.int64),
    )


def pool_levels(measured: Iterable[MaskLevels]) -> MaskLevels:
    """Add up the levels of several masks, all grey or all colours."""
    kept = list(measured)
    if not kept:
        nothing = np.zeros(0, dtype=np.int64)
        return MaskLevels("", np.zeros(0), nothing, nothing, nothing, nothing, masks=nothing)
    values, place = np.unique(np.concatenate([one.values for one in kept]), axis=0, return_inverse=True)

    def total(name: str) -> NDArray[np.int64]:
        counts = np.concatenate([getattr(one, name) for one in kept])
        return np.bincount(place.ravel(), weights=counts, minlength=len(values)).astype(np.int64)

    steps = [one.step for one in kept if one.step]
    return MaskLevels(
        path="",
        values=values,
        pixels=total("pixels"),
        solid=total("solid"),
        ramp=total("ramp"),
        border=total("border"),
        masks=total("masks"),
        step=float(np.mean(steps)) if steps else 0.0,
    )


def _plane(stored: StoredMask, keep_color: bool) -> tuple[NDArray[Any], bool]:
    """(H, W) of grey values, or of colours as numbers."""
    values = stored.values
    if values.ndim == 2:
        return values, False
    spread = int((values.max(axis=-1) - values.min(axis=-1)).max())
    if not keep_color and spread <= (CHROMA_NOISE if stored.is_lossy else 0):
        return values.max(axis=-1), False
    if stored.is_lossy and not keep_color:
        values = np.rint(values / COARSE_COLOR) * COARSE_COLOR
    red, green, blue = np.moveaxis(values.astype(np.int64), -1, 0)
    return (red << 16) + (green << 8) + blue, True


def _indexed(plane: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Distinct values in ascending order, and the place of each pixel's value among them."""
    low, high = plane.min(), plane.max()
    is_high = plane == high
    if ((plane == low) | is_high).all():
        return np.unique(np.array([low, high], dtype=np.float64)), is_high.astype(np.uint8) * np.uint8(low < high)
    if plane.dtype.kind in "ui" and high < 1 << 16:
        occurs = np.bincount(plane.ravel()) > 0
        values = np.flatnonzero(occurs)
        return values.astype(np.float64), (np.cumsum(occurs) - 1).astype(np.min_scalar_type(len(values)))[plane]
    values, place = np.unique(plane, return_inverse=True)
    place = place.reshape(plane.shape)
    if plane.dtype.kind == "f" and len(values) > MAX_LEVELS:
        first, step = float(low), float(high - low) / (MAX_LEVELS - 1)
        levels, coarse = np.unique(np.rint((values - first) / step), return_inverse=True)
        return first + levels * step, coarse[place]
    return values.astype(np.float64), place


def _counts(index: NDArray[Any], count: int) -> NDArray[np.int64]:
    """How often each place occurs; ``bincount`` alone copies pictures to 64 bits first."""
    if count <= FEW_LEVELS:
        return np.array([np.count_nonzero(index == place) for place in range(count)], dtype=np.int64)
    return np.bincount(index.ravel(), minlength=count).astype(np.int64)


def _border(index: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([index[0], index[-1], index[1:-1, 0], index[1:-1, -1]])


def _around(index: NDArray[Any], extreme: np.ufunc) -> NDArray[Any]:
    """Lowest or highest of each 3 x 3 neighbourhood; faster than SciPy's filters on whole pictures."""
    rows = np.pad(index, 1, mode="edge")
    rows = extreme(extreme(rows[:-2], rows[1:-1]), rows[2:])
    return np.asarray(extreme(extreme(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]))


def _colors(codes: NDArray[np.float64]) -> NDArray[np.int64]:
    numbers = codes.astype(np.int64)
    return np.stack([numbers >> 16, (numbers >> 8) & 255, numbers & 255], axis=-1)


def _regions(plane: NDArray[Any], values: NDArray[np.float64], is_lossy: bool) -> int:
    """Count regions where the values may number objects: at least two, whole, and not those of a smear."""
    positive = values[values > 0]
    if is_lossy or not 2 <= len(positive) <= MAX_LEVELS or not np.array_equal(positive, np.rint(positive)):
        return 0
    return int(connected_regions(plane.astype(np.int64), background=0, connectivity=2).max())
