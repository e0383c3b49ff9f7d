"""Lesions found and lesions invented: a prediction judged component by component, small ones as much as large ones."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from skimage.measure import label as connected_components

from labelmine.evaluation.summary import SIZE_FROM

BoolMask: TypeAlias = npt.NDArray[np.bool_]
Pixels: TypeAlias = npt.NDArray[np.int64]

# Our choice: half of a gold lesion, as instance matching mostly asks for 0.5 (panoptica and COCO, there of the IoU).
# Challenges are often more lenient, down to a single voxel (ATLAS, https://atlas.grand-challenge.org/Evaluation).
FOUND_FROM = 0.5


def count_lesions(mask: BoolMask) -> int:
    """Number of 8-connected components, summed over the classes of `mask`, (K, H, W) bool."""
    return sum(_components(channel)[1] for channel in mask)


def gold_lesions(pred: BoolMask, gold: BoolMask) -> tuple[Pixels, Pixels]:
    """Area of each gold lesion, and how much of it the prediction of its class covers.

    Args:
        pred: Predicted mask, (K, H, W) bool.
        gold: Gold mask of the same shape; a lesion is an 8-connected component of one class.

    Returns:
        Two (N,) int64 arrays in pixels, lesions of all classes one after the other.

    >>> gold = np.array([[[True, True, False, True]]])
    >>> areas, covered = gold_lesions(np.array([[[False, True, True, False]]]), gold)
    >>> areas, covered
    (array([2, 1]), array([1, 0]))
    """
    areas, covered = [], []
    for channel, reference in zip(pred, gold, strict=True):
        lesions, count = _components(reference)
        areas.append(_pixels(lesions, count))
        covered.append(_pixels(lesions[channel], count))
    return np.concatenate(areas), np.concatenate(covered)


def count_false_lesions(pred: BoolMask, gold: BoolMask) -> int:
    """Number of predicted components that share no pixel with gold of their class; masks (K, H, W) bool."""
    total = 0
    for channel, reference in zip(pred, gold, strict=True):
        lesions, count = _components(channel)
        total += int((_pixels(lesions[reference], count) == 0).sum())
    return total


def lesion_facts(pred: BoolMask, gold: BoolMask) -> dict[str, int]:
    """Count lesions of one image by size, and those that the prediction finds.

    A gold lesion is found when the predicted mask of its class covers at least ``FOUND_FROM`` of its pixels, in however
    many pieces; that half is enough is our choice. One prediction may find several lesions, so that one blob over all
    of them finds all: read recall beside Dice and false lesions. A lesion's size is its own area as a fraction of the
    image, with the limits ``SIZE_FROM``.

    Args:
        pred: Predicted mask, (K, H, W) bool.
        gold: Gold mask of the same shape.

    Returns:
        ``n_lesions``; ``lesions_<size>`` and ``found_<size>`` for small, medium and large; ``false_lesions``: predicted
        components that share no pixel with gold of their class, specks included.
    """
    areas, covered = gold_lesions(pred, gold)
    sizes = np.digitize(areas / gold[0].size, list(SIZE_FROM.values())) - 1
    found = covered >= FOUND_FROM * areas
    return {
        "n_lesions": len(areas),
        **{f"lesions_{name}": int((sizes == index).sum()) for index, name in enumerate(SIZE_FROM)},
        **{f"found_{name}": int((found & (sizes == index)).sum()) for index, name in enumerate(SIZE_FROM)},
        "false_lesions": count_false_lesions(pred, gold),
    }


def _components(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.integer], int]:
    lesions, count = connected_components(mask, connectivity=2, return_num=True)
    return lesions, int(count)


def _pixels(lesions: npt.NDArray[np.integer], count: int) -> Pixels:
    """Pixels of each of `count` components, the background left out."""
    return np.bincount(lesions.ravel(), minlength=count + 1)[1:]
