"""How an exported file compares with another, and with gold, on whole images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmine.data.loading import LoadedItem
from labelmine.deployment.runtimes import Answer
from labelmine.evaluation import dice_iou
from labelmine.progress import progress


def whole_image(item: LoadedItem) -> NDArray[np.float32]:
    """Return a loaded image as exported files take it: (H, W, 3) float32 in 0..255."""
    return np.ascontiguousarray((item["image"] * 255).movedim(0, -1).numpy())


def compare_files(exact: Answer, quick: Answer, items: Iterable[LoadedItem]) -> dict[str, Any]:
    """Return the mean Dice, over images and classes, of two files' masks with each other, and of each with gold.

    Args:
        exact: The file that is taken for right.
        quick: The file that is doubted.
        items: Loaded images; those without gold count for the first figure alone.

    Returns:
        ``images``, ``dice_with_float``; and where there is gold ``images_with_gold``, ``gold_dice`` and
        ``gold_dice_float``.
    """
    agreement: list[float] = []
    gold: list[tuple[float, float]] = []
    for item in progress(items, "int8", "image"):
        image = whole_image(item)[None]
        right, doubted = (answer(image)[0] > 0.5 for answer in (exact, quick))
        agreement.append(_dice(doubted, right))
        if item["is_labeled"]:
            truth = item["label"].numpy() > 0
            gold.append((_dice(doubted, truth), _dice(right, truth)))
    figures: dict[str, Any] = {"images": len(agreement), "dice_with_float": _mean(agreement)}
    if gold:
        quick_dice, exact_dice = zip(*gold, strict=True)
        figures |= {"images_with_gold": len(gold), "gold_dice": _mean(quick_dice), "gold_dice_float": _mean(exact_dice)}
    return figures


def _dice(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(dice_iou(mask, other)[0].mean())


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean(list(values))), 4)
