"""Mapping stored values of any depth to [0, 1]."""

from __future__ import annotations

import numpy as np

from labelmine.errors import DataError

#: (centre, width) in the units of the stored values, for example Hounsfield units.
Window = tuple[float, float]

#: Percentiles that become 0 and 1 where nothing says what the values mean; they cut hot pixels and burnt-in marks.
PERCENTILES = (0.5, 99.5)


def percentile_limits(values: np.ndarray) -> tuple[float, float]:
    """The 0.5 and 99.5 percentile of the finite values; where these coincide, the minimum and maximum."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 0.0
    low, high = (float(limit) for limit in np.percentile(finite, PERCENTILES))
    # A small bright spot on a flat ground may lie wholly outside the percentiles.
    return (low, high) if high > low else (float(finite.min()), float(finite.max()))


def check_numbers(values: np.ndarray) -> np.ndarray:
    """Refuse an image in which no value is a number.

    Raises:
        DataError: All are NaN or infinite.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).any():
        raise DataError("holds no number (all values are NaN or infinite); export it again")
    return values


def scale_to_limits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map ``low`` to 0 and ``high`` to 1, clipping beyond; a constant image becomes zeros, as do missing values.

    Args:
        values: Any shape and number type.
        low: Value that becomes 0.
        high: Value that becomes 1.

    Returns:
        float32 in [0, 1], shape of ``values``.
    """
    if high <= low:
        return np.zeros(values.shape, dtype=np.float32)
    scaled = (values.astype(np.float64) - low) / (high - low)
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0), 0, 1).astype(np.float32)


def scale_by_percentiles(values: np.ndarray) -> np.ndarray:
    """Map the 0.5-99.5 percentiles of ``values`` to [0, 1]."""
    return scale_to_limits(values, *percentile_limits(values))


def scale_by_window(values: np.ndarray, window: Window) -> np.ndarray:
    """Map a window to [0, 1] linearly, as LINEAR_EXACT of DICOM PS3.3 C.11.2.1.3.2.

    Example:
        >>> scale_by_window(np.array([-160, 40, 240]), (40, 400)).tolist()
        [0.0, 0.5, 1.0]
    """
    centre, width = window
    return scale_to_limits(values, centre - width / 2, centre + width / 2)
