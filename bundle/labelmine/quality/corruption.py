"""Labels with known Dice, made from gold: how to calibrate a source that has no answer on gold of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
SHIFTS = (0.15, 0.3, 0.6)  # of the object's side
BORDERS = (0.08, 0.2)  # erosion and dilation, of the object's side
PIECES = (0.05, 0.2, 0.5)  # of the object's area


def corrupted(masks: NDArray[np.bool_], seed: int = 0) -> Iterator[tuple[int, Mask]]:
    """Yield wrong and right labels of every gold mask that shows something.

    Each brings itself, two eroded and two dilated ones, three shifted ones, three pieces of it, the masks of two other
    images and a piece elsewhere: the faults of weak labels (the wrong place, a part, too much), spread over Dice.

    Args:
        masks: (N, K, H, W) bool gold masks.
        seed: Of the draws; an image's depend on nothing but it and the image's place.

    Yields:
        Index of the image and a label (K, H, W) bool that is not empty.
    """
    shown = [n for n in range(len(masks)) if masks[n].any()]
    for n in shown:
        rng = np.random.default_rng([seed, n])
        others = [masks[o] for o in rng.permutation([o for o in shown if o != n])[:2]]
        for label in [*_faults(masks[n], rng), *others]:
            if label.any():
                yield n, label


def _faults(mask: Mask, rng: np.random.Generator) -> Iterator[Mask]:
    side = float(np.sqrt(mask.any(0).sum()))
    yield mask
    for border in BORDERS:
        steps = max(1, round(border * side))
        grown = [ndimage.binary_dilation(channel, iterations=steps) & channel.any() for channel in mask]
        yield np.stack([ndimage.binary_erosion(channel, iterations=steps) for channel in mask])
        yield np.stack(grown)
    for distance in SHIFTS:
        yield _shifted(mask, distance * side, rng)
    for part in PIECES:
        yield _piece(mask, part, rng)
    yield _shifted(_piece(mask, PIECES[0], rng), 2 * side, rng)


def _shifted(mask: Mask, distance: float, rng: np.random.Generator) -> Mask:
    angle = rng.uniform(0, 2 * np.pi)
    offset = np.round(distance * np.array([np.sin(angle), np.cos(angle)]))
    moved: Mask = ndimage.shift(mask.astype(np.uint8), (0, *offset), order=0) > 0
    return moved


def _piece(mask: Mask, part: float, rng: np.random.Generator) -> Mask:
    """Return the pixels nearest to a random one of the mask, ``part`` of them."""
    places = np.argwhere(mask.any(0))
    distance = np.linalg.norm(places - places[rng.integers(len(places))], axis=1)
    near = places[np.argsort(distance, kind="stable")[: max(4, round(part * len(places)))]]
    window = np.zeros(mask.shape[1:], dtype=bool)
    window[tuple(near.T)] = True
    return mask & window
