"""Outlines of a mask that run between its pixels, so that whoever fills them gets the mask back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import KDTree
from skimage.measure import approximate_polygon, find_contours, label

Polygon = NDArray[np.float64]  # (N, 2) row and column in pixels, 0 at the centre of the first; not closed

#: Corners that lie nearer to a straight line than this, in pixels, are left out.
_STRAIGHT = 0.01


def outlines(mask: NDArray[np.bool_]) -> Iterator[Polygon]:
    """Yield a polygon for each part of a mask whose pixels touch by their sides.

    A hole is joined to the outline around it by a channel of no width (the keyhole of PS3.3 C.8.8.6.3).

    Args:
        mask: (H, W) bool.

    Example:
        >>> ring = np.ones((3, 3), dtype=bool)
        >>> ring[1, 1] = False
        >>> [len(polygon) for polygon in outlines(ring)]
        [14]
    """
    parts = label(mask, connectivity=1)
    for number, place in enumerate(find_objects(parts), start=1):
        part = np.pad(parts[place] == number, 1)
        corner = np.array([place[0].start, place[1].start]) - 1
        found = [approximate_polygon(one, _STRAIGHT)[:-1] for one in find_contours(part.astype(np.float64), 0.5)]
        outer, *holes = sorted(found, key=lambda polygon: -np.prod(np.ptp(polygon, axis=0)))
        for hole in holes:
            outer = _joined(outer, hole)
        yield outer + corner


def _joined(outer: Polygon, hole: Polygon) -> Polygon:
    """Go round the outline, through the channel, round the hole and back."""
    distances, nearest = KDTree(outer).query(hole)
    leave, enter = int(nearest[distances.argmin()]), int(distances.argmin())
    around = np.roll(hole, -enter, axis=0)
    return np.concatenate([outer[: leave + 1], around, around[:1], outer[leave:]])
