"""Splits for studies: one fixed test set, and of the other gold what a budget allows, validation included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from labelmine.data.items import Item, Split
from labelmine.data.splits import clusters_of, given_split, placed_in, refuse_leaks, share_of, shuffled
from labelmine.errors import ConfigError, DataError


def split_by_budget(
    items: Sequence[Item],
    budget: float,
    seed: int = 0,
    test_fraction: float = 0.2,
    test_seed: int = 0,
    val_share: float = 0.2,
    duplicates: Iterable[tuple[str, str, int]] = (),
) -> list[Item]:
    """Give every item its split, so that cells of a study compare.

    Whole groups are drawn, as in ``split_items``. The test set depends on ``test_seed`` alone; with one seed a larger
    budget keeps all training and all validation gold of a smaller one. A test split that items bring along is kept;
    what they say of training and validation is not, as both are drawn from the budget.

    Args:
        items: Checked items.
        budget: Masks that may be used, for training and validation together: a fraction in (0, 1] of the gold that does
            not test, or a count of 2 or more. Groups are drawn until it is reached.
        seed: Seed of the draw of training and validation gold.
        test_fraction: Fraction of the groups with gold that test, in (0, 1); at least one group.
        test_seed: Seed of the draw of the test set.
        val_share: Part of the budget that validates, in (0, 0.5]; of every ``round(1 / val_share)`` groups one.
        duplicates: ``(id, id, distance)`` of near-duplicates, which join one group.

    Returns:
        New items with ``split``, in the order given. Gold beyond the budget is ``unlabeled``, its ``label`` moved to
        ``dropped_label``; images without gold that share a group with validation or test gold are left out.

    Raises:
        ConfigError: A knob out of range.
        DataError: A given split that leaks, or fewer than two groups of gold beside the test set.

    Example:
        >>> gold = [Item(id=str(n), image=f"{n}.png", label=f"{n}_mask.png", group=str(n)) for n in range(10)]
        >>> sorted(item["split"] for item in split_by_budget(gold, budget=4))
        ['test', 'test', 'train', 'train', 'train', 'unlabeled', 'unlabeled', 'unlabeled', 'unlabeled', 'val']
    """
    _check(budget, test_fraction, val_share)
    pairs = [(a, b) for a, b, _ in duplicates]
    refuse_leaks(items, pairs)
    clusters = clusters_of(items, pairs)
    given = {key: given_split(members) for key, members in clusters.items()}
    gold = [key for key, split in given.items() if split != "unlabeled"]
    test = {key for key in gold if given[key] == "test"}
    test = test or set(shuffled(gold, f"{test_seed}:test")[: share_of(test_fraction, len(gold))])
    drawn = _drawn(shuffled([key for key in gold if key not in test], f"{seed}:budget"), clusters, budget)
    period = round(1 / val_share)
    splits: dict[str, Split | None] = dict.fromkeys(clusters, "unlabeled")
    splits |= dict.fromkeys(test, "test")
    splits |= {key: "val" if position % period == 1 else "train" for position, key in enumerate(drawn)}
    cluster_of = {item["id"]: key for key, members in clusters.items() for item in members}
    trains = {key for key, split in splits.items() if split == "train"}
    placed = [placed_in(item, splits[cluster_of[item["id"]]], cluster_of[item["id"]] in trains) for item in items]
    return [item for item in placed if item is not None]


def _drawn(pool: Sequence[str], clusters: Mapping[str, Sequence[Item]], budget: float) -> list[str]:
    """Take groups, in order, until their gold reaches the budget; two at least, as one trains and one validates."""
    if len(pool) < 2:
        raise DataError(
            "too little gold: expected two groups of images with masks or more beside the test set, one to train and "
            f"one to validate, got {len(pool)} (near-duplicates count as one). Add images with masks"
        )
    sizes = [sum("label" in item for item in clusters[key]) for key in pool]
    wanted = budget if budget > 1 else share_of(budget, sum(sizes))
    taken = drawn = 0
    while drawn < len(pool) and (drawn < 2 or taken < wanted):
        taken += sizes[drawn]
        drawn += 1
    return list(pool[:drawn])


def _check(budget: float, test_fraction: float, val_share: float) -> None:
    if not (0 < budget <= 1 or (budget >= 2 and float(budget).is_integer())):
        raise ConfigError(
            f"fractions: expected a fraction of the gold in (0, 1], or a number of masks, 2 or more; got {budget}"
        )
    if not 0 < test_fraction < 1:
        raise ConfigError(f"test_fraction: expected a fraction between 0 and 1, for example 0.2; got {test_fraction}")
    if not 0 < val_share <= 0.5:
        raise ConfigError(f"val_share: expected a part of the budget in (0, 0.5], for example 0.2; got {val_share}")
