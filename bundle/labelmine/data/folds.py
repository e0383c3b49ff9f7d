"""Folds of training gold, so that each image is once predicted by a student that never saw it or its like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labelmine.data.image_set import ImageSet
from labelmine.data.items import Item
from labelmine.data.splits import clusters_of, shuffled

ENOUGH = 60  # validation images from which on nothing else need be asked


@dataclass(frozen=True)
class Fold:
    """One of several ways to split gold.

    Attributes:
        train: What a student learns from.
        held_out: What it is then asked about.
    """

    train: list[Item]
    held_out: list[Item]


def gold_folds(items: Sequence[Item], count: int, seed: int, pairs: Iterable[tuple[str, str, int]] = ()) -> list[Fold]:
    """Split gold into folds of about the same size; groups and near-duplicates stay together.

    Args:
        items: Gold.
        count: Folds; fewer where there are fewer groups, and none of a single group.
        seed: Of the draw.
        pairs: ``(id, id, distance)`` of near-duplicates; those of other images are passed over.

    Example:
        >>> gold = [Item(id=str(n), image=f"{n}.png", label=f"{n}.png", group=str(n // 2)) for n in range(6)]
        >>> [[item["id"] for item in fold.held_out] for fold in gold_folds(gold, 3, seed=0)]
        [['0', '1'], ['4', '5'], ['2', '3']]
    """
    ids = {item["id"] for item in items}
    clusters = clusters_of(items, [(a, b) for a, b, _ in pairs if a in ids and b in ids])
    count = min(count, len(clusters))
    if count < 2:
        return []
    parts: list[list[str]] = [[] for _ in range(count)]
    for key in shuffled(clusters, f"{seed}:folds"):
        min(parts, key=len).extend(item["id"] for item in clusters[key])
    return [
        Fold([item for item in items if item["id"] not in part], [item for item in items if item["id"] in part])
        for part in map(frozenset, parts)
    ]


def folds_beside_validation(images: ImageSet, count: int, seed: int) -> list[Fold]:
    """Return folds of the training gold where too few images validate, else none; see ``gold_folds``."""
    if len(images.val) >= ENOUGH:
        return []
    return gold_folds(images.train, count, seed, images.near_duplicates)
