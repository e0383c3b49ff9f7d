"""Group-safe splits: images of one patient, video or near-duplicate cluster stay on one side.

Which split a group falls into depends only on the seed and on the ids in it, not on the order of the list, and a larger
``labeled_fraction`` keeps every label that a smaller one kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from labelmine.data.items import Item, Split
from labelmine.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

GOLD_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def split_items(
    items: Sequence[Item],
    seed: int = 0,
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    labeled_fraction: float = 1.0,
    duplicates: Iterable[tuple[str, str, int]] = (),
) -> list[Item]:
    """Give every item its split.

    A split that items bring along is kept; only ``val`` and ``test``, where they hold no gold, are drawn from training
    groups. Items without gold are ``unlabeled``; those that share a group with validation or test gold are left out,
    as pseudo labels on them would carry the exam into training.

    Args:
        items: Checked items; ``split`` may be there.
        seed: Seed of the draw.
        val_fraction: Fraction of the groups with gold that validate, in (0, 1); at least one group.
        test_fraction: Fraction of the groups with gold that test, in (0, 1); at least one group.
        labeled_fraction: Fraction of the training groups that keep their gold, in (0, 1]; at least one group. The rest
            become ``unlabeled`` and their ``label`` is moved to ``dropped_label``.
        duplicates: ``(id, id, distance)`` of near-duplicates, which join one group.

    Returns:
        New items with ``split``, in the order given.

    Raises:
        ConfigError: A fraction out of range.
        DataError: A given split that leaks, or too little gold for training, validation and test.

    Example:
        >>> gold = [Item(id=str(n), image=f"{n}.png", label=f"{n}_mask.png", group=str(n)) for n in range(10)]
        >>> sorted(item["split"] for item in split_items(gold))
        ['test', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'train', 'val']
    """
    check_fractions(val_fraction, test_fraction, labeled_fraction)
    pairs = [(a, b) for a, b, _ in duplicates]
    refuse_leaks(items, pairs)
    clusters = clusters_of(items, pairs)
    splits = {key: given_split(members) for key, members in clusters.items()}
    _draw_missing(clusters, splits, seed, {"test": test_fraction, "val": val_fraction})

    train = shuffled([key for key, split in splits.items() if split == "train"], f"{seed}:labeled")
    kept = set(train[: share_of(labeled_fraction, len(train))])
    cluster_of = {item["id"]: key for key, members in clusters.items() for item in members}
    placed = [placed_in(item, splits[cluster_of[item["id"]]], cluster_of[item["id"]] in kept) for item in items]
    held_out = sum(item is None for item in placed)
    if held_out:
        logger.info("%d images without gold share a group with validation or test gold: left out of mining", held_out)
    return [item for item in placed if item is not None]


def check_fractions(val_fraction: float, test_fraction: float, labeled_fraction: float) -> None:
    """Refuse fractions that make no split.

    Raises:
        ConfigError: Naming the knob, its range and what was got.
    """
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 < value < 1:
            raise ConfigError(f"{name}: expected a fraction between 0 and 1, for example 0.1; got {value}")
    if val_fraction + test_fraction >= 1:
        total = val_fraction + test_fraction
        raise ConfigError(f"val_fraction + test_fraction: expected less than 1, so that some train; got {total:g}")
    if not 0 < labeled_fraction <= 1:
        raise ConfigError(f"labeled_fraction: expected a fraction in (0, 1], for example 0.1; got {labeled_fraction}")


def refuse_leaks(items: Sequence[Item], pairs: Iterable[tuple[str, str]]) -> None:
    """Stop on a given split that has one group, or a near-duplicate pair, in two of train, val and test."""
    splits = {item["id"]: item["split"] for item in items if item.get("split") in GOLD_SPLITS and "label" in item}
    leaks = [f"{a} ({splits[a]}) and {b} ({splits[b]}): near-duplicates" for a, b in pairs if _differ(splits, a, b)]
    first: dict[str, str] = {}
    for item in items:
        if item["id"] in splits:
            other = first.setdefault(item["group"], item["id"])
            if _differ(splits, other, item["id"]):
                places = f"{other} ({splits[other]}) and {item['id']} ({splits[item['id']]})"
                leaks.append(f"{places}: group {item['group']!r}")
    if leaks:
        more = f"; and {len(leaks) - 5} more" if len(leaks) > 5 else ""
        raise DataError(
            f"the given split leaks: {'; '.join(leaks[:5])}{more}. Put both images of each pair into one split, or "
            "take the split out and labelmine draws one"
        )


def _differ(splits: Mapping[str, Split], a: str, b: str) -> bool:
    return a in splits and b in splits and splits[a] != splits[b]


def clusters_of(items: Sequence[Item], pairs: Iterable[tuple[str, str]]) -> dict[str, list[Item]]:
    """Join groups by near-duplicate pairs; keyed by the smallest id, members by id."""
    ordered = sorted(items, key=lambda item: item["id"])
    groups = {group: number for number, group in enumerate(sorted({item["group"] for item in ordered}))}
    group_of = {item["id"]: groups[item["group"]] for item in ordered}
    edges = np.array([(group_of[a], group_of[b]) for a, b in pairs], dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(groups), len(groups)))
    _, cluster_of = connected_components(graph, directed=False)
    clusters: dict[int, list[Item]] = {}
    for item in ordered:
        clusters.setdefault(int(cluster_of[group_of[item["id"]]]), []).append(item)
    return {members[0]["id"]: members for members in clusters.values()}


def given_split(members: Sequence[Item]) -> Split | None:
    """Split of a cluster: what its gold brings along, ``unlabeled`` without gold, None where it is to be drawn."""
    gold = [item for item in members if "label" in item and item.get("split") != "unlabeled"]
    given = {item["split"] for item in gold if "split" in item}
    for split in ("test", "val", "train"):
        if split in given:
            return split
    return None if gold else "unlabeled"


def _draw_missing(
    clusters: Mapping[str, Sequence[Item]], splits: dict[str, Split | None], seed: int, fractions: Mapping[Split, float]
) -> None:
    """Draw test and validation clusters where none is given; every other cluster with gold trains."""
    n_gold = sum(split != "unlabeled" for split in splits.values())
    missing: list[Split] = [split for split in fractions if split not in splits.values()]
    candidates = [key for key, split in splits.items() if split in (None, "train")]
    if len(candidates) <= len(missing):
        n_images = sum("label" in item for members in clusters.values() for item in members)
        raise DataError(
            f"too little gold: expected at least one group of images with masks each for training, validation and "
            f"test, got {n_images} such images in {n_gold} groups (near-duplicates count as one), of which "
            f"{len(candidates)} may train. Add images with masks"
        )
    candidates = shuffled(candidates, f"{seed}:split")
    for split in missing:
        count = min(share_of(fractions[split], n_gold), len(candidates) - len(missing))
        for key in candidates[: max(count, 1)]:
            splits[key] = split
        candidates = candidates[max(count, 1) :]
    for key in candidates:
        splits[key] = "train"


def share_of(fraction: float, total: int) -> int:
    """Return a fraction of a count, rounded, at least one."""
    return max(1, int(fraction * total + 0.5))


def shuffled(keys: Iterable[str], salt: str) -> list[str]:
    """Keys in an order that depends on the salt and each key alone: neither list order nor newcomers stir it."""
    return sorted(keys, key=lambda key: hashlib.sha256(f"{salt}:{key}".encode()).digest())


def placed_in(item: Item, split: Split | None, keeps_label: bool) -> Item | None:
    """Copy the item with its split; None where it must be left out."""
    placed = item.copy()
    has_gold = "label" in item and item.get("split") != "unlabeled"
    if has_gold and (split in ("val", "test") or keeps_label):
        placed["split"] = split or "train"
        return placed
    if split in ("val", "test"):
        return None
    placed["split"] = "unlabeled"
    if "label" in placed:
        placed["dropped_label"] = placed.pop("label")
    return placed
