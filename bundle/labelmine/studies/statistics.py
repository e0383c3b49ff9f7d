"""From per-image rows of many cells to one row per method, label fraction and test set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from labelmine.errors import DataError
from labelmine.evaluation.summary import SIZE_FROM, lesion_recall, paired_difference, statistics
from labelmine.studies.results import StudyResults

#: One row of `summarise_study`.
Row: TypeAlias = "pd.Series[Any]"

COSTS = ("seconds", "peak_memory_mb", "teacher_calls", "steps")
COUNTS = ("n_gold", "n_gold_val", "n_unlabeled")
LESION_COLUMNS = [f"{what}_{size}" for what in ("lesions", "found") for size in SIZE_FROM]


@dataclass(frozen=True)
class EqualFraction:
    """Where on the baseline's curve a Dice lies.

    Attributes:
        fraction: Label fraction; for ``less`` and ``more`` the end of the curve that was reached.
        relation: ``less`` than the smallest fraction measured, ``more`` than the largest, or ``equal``.
    """

    fraction: float
    relation: Literal["less", "equal", "more"]


def summarise_study(results: StudyResults, seed: int = 0) -> pd.DataFrame:
    """One row per test set, label fraction and method that has figures, in this order; the baseline first.

    Args:
        results: What the cells left behind.
        seed: Of the bootstrap.

    Returns:
        Columns ``test_set, fraction, method, title``; ``seeds`` (tuple), ``n_images``, ``n_groups``, ``n_empty_gold``;
        ``n_gold, n_gold_val, n_unlabeled`` (mean over seeds);

        - ``dice``, ``iou`` and ``class_dice_<class>``: mean over seeds of the mean over images; ``dice_sd``: sample
          standard deviation over seeds (NaN for one); ``seed_dice``: each seed's mean; ``dice_low``, ``dice_high``:
          bootstrap 95 % interval over test images, whole groups drawn, of each image's mean over seeds;
        - ``difference`` to the baseline at the same fraction on the same images, over ``common_seeds``, with
          ``difference_low``, ``difference_high`` and ``seed_differences``; ``intervals_apart``: whether that interval
          leaves out zero; ``verdict``: `judge`; NaN, empty and False for the baseline and where there is none;
        - ``equal_fraction`` and ``equal_relation``: see `EqualFraction`, over seeds that both have; NaN and "";
        - ``recall_small, recall_medium, recall_large, recall_all``: lesions found among gold lesions of all images of a
          seed, mean over seeds; ``lesions_*``: how many there are; ``false_lesions`` per image;
        - ``hd95`` (mm, mean where defined), ``hd95_defined`` and ``hd95_undefined``: answers (one image of one seed)
          with and without a distance; ``surface_dice``;
        - ``seconds, teacher_calls, steps`` (mean over seeds), ``peak_memory_mb`` (highest).
    """
    images, titles = results.images, results.titles
    baseline = images[images["method"] == results.baseline]
    rows = []
    for test_set in results.test_sets:
        for fraction in results.fractions:
            for method, title in titles.items():
                at = (images["test_set"] == test_set) & (images["fraction"] == fraction)
                cell = images[at & (images["method"] == method)]
                if cell.empty:
                    continue
                curve = baseline[baseline["test_set"] == test_set]
                row: dict[str, Any] = {
                    "test_set": test_set,
                    "fraction": fraction,
                    "method": method,
                    "title": title,
                }
                row |= _overlap(cell, seed)
                row |= _counts_and_costs(results.cells, method, fraction)
                row |= _difference(curve[curve["fraction"] == fraction], cell, method == results.baseline, seed)
                row |= _equal(curve, cell, method == results.baseline)
                rows.append(row | _lesions(cell) | _surface(cell))
    return pd.DataFrame(rows)


def equal_fraction(dice: float, curve: Mapping[float, float]) -> EqualFraction:
    """Find the label fraction at which the baseline's curve first reaches a Dice; nothing is extrapolated.

    Args:
        dice: The Dice to reach.
        curve: The baseline's mean Dice by label fraction; read linearly over the fraction's logarithm. Where it is not
            monotone, the smallest fraction that reaches ``dice`` is returned, which claims least for the other method.

    Raises:
        DataError: An empty curve.

    >>> equal_fraction(0.6, {0.1: 0.5, 0.4: 0.7})
    EqualFraction(fraction=0.2, relation='equal')
    >>> equal_fraction(0.8, {0.1: 0.5, 0.4: 0.7})
    EqualFraction(fraction=0.4, relation='more')
    """
    if not curve:
        raise DataError("expected a baseline curve of one label fraction or more, got none; run the baseline first")
    fractions = sorted(curve)
    values = [curve[fraction] for fraction in fractions]
    if dice < values[0]:
        return EqualFraction(fractions[0], "less")
    reached = next((index for index, value in enumerate(values) if value >= dice), None)
    if reached is None:
        return EqualFraction(fractions[-1], "more")
    if reached == 0:
        return EqualFraction(fractions[0], "equal")
    part = slice(reached - 1, reached + 1)
    fraction = math.exp(np.interp(dice, values[part], np.log(fractions[part])))
    return EqualFraction(round(fraction, 6), "equal")


def judge(intervals_apart: bool, seed_differences: Sequence[float]) -> Literal["better", "worse", "unsure"]:
    """Call a method better or worse only if the interval leaves out zero and every seed agrees.

    The interval is about other test images; that the seeds agree is what guards against a lucky draw of gold.

    >>> judge(True, [0.02, 0.01]), judge(True, [0.05, -0.01])
    ('better', 'unsure')
    """
    if intervals_apart and all(value > 0 for value in seed_differences):
        return "better"
    return "worse" if intervals_apart and all(value < 0 for value in seed_differences) else "unsure"


def seed_means(rows: pd.DataFrame, column: str = "dice") -> pd.Series[float]:
    """Mean over images of each seed."""
    return rows.groupby("seed")[column].mean()


def _by_image(rows: pd.DataFrame) -> pd.DataFrame:
    """Average each image over seeds: ``id``, ``group`` and ``dice``; each image its own group where none is given."""
    groups = rows["group"] if "group" in rows else rows["id"]
    return rows.assign(group=groups).groupby("id", as_index=False).agg(group=("group", "first"), dice=("dice", "mean"))


def _overlap(rows: pd.DataFrame, seed: int) -> dict[str, Any]:
    means, averaged = seed_means(rows), _by_image(rows)
    low, high = statistics(averaged, "dice", seed)["ci95"]
    empty = rows.groupby("id")["gold_empty"].first().sum() if "gold_empty" in rows else 0
    classes = [name for name in rows if str(name).startswith("dice_") and rows[name].notna().all()]
    return {
        "seeds": tuple(int(value) for value in means.index),
        "n_images": len(averaged),
        "n_groups": averaged["group"].nunique(),
        "n_empty_gold": int(empty),
        "dice": means.mean(),
        "dice_sd": means.std(ddof=1),
        "dice_low": low,
        "dice_high": high,
        "seed_dice": tuple(means),
        "iou": seed_means(rows, "iou").mean() if "iou" in rows else math.nan,
        **{f"class_{name}": seed_means(rows, str(name)).mean() for name in classes},
    }


def _counts_and_costs(cells: pd.DataFrame, method: str, fraction: float) -> dict[str, float]:
    rows = cells[(cells["method"] == method) & (cells["fraction"] == fraction)].drop_duplicates("seed")
    known = {name: pd.to_numeric(rows[name]) for name in (*COUNTS, *COSTS) if name in rows}
    return {
        name: (known[name].max() if name == "peak_memory_mb" else known[name].mean()) if name in known else math.nan
        for name in (*COUNTS, *COSTS)
    }


def _difference(baseline: pd.DataFrame, rows: pd.DataFrame, itself: bool, seed: int) -> dict[str, Any]:
    """Compare over common seeds; groups are drawn once for both, as each image is compared with itself."""
    common = sorted(set(baseline["seed"]) & set(rows["seed"]))
    if itself or not common:
        nothing = dict.fromkeys(("difference", "difference_low", "difference_high"), math.nan)
        return {**nothing, "common_seeds": (), "seed_differences": (), "intervals_apart": False, "verdict": ""}
    before, after = (table[table["seed"].isin(common)] for table in (baseline, rows))
    delta = paired_difference(_by_image(before), _by_image(after), seed)
    low, high = delta["ci95"]
    by_seed = tuple(seed_means(after) - seed_means(before))
    apart = bool(low > 0 or high < 0)
    return {
        "difference": delta["mean"],
        "difference_low": low,
        "difference_high": high,
        "common_seeds": tuple(int(value) for value in common),
        "seed_differences": by_seed,
        "intervals_apart": apart,
        "verdict": judge(apart, by_seed),
    }


def _equal(curve: pd.DataFrame, rows: pd.DataFrame, itself: bool) -> dict[str, Any]:
    """Place the method on the baseline's curve of the same seeds; fractions that lack one of them are left out."""
    common = sorted(set(curve["seed"]) & set(rows["seed"]))
    nothing = {"equal_fraction": math.nan, "equal_relation": ""}
    if itself or not common:
        return nothing
    by_seed = curve.pivot_table(values="dice", index="fraction", columns="seed", aggfunc="mean")
    points = by_seed[common].dropna().mean(axis=1)
    if points.empty:
        return nothing
    equal = equal_fraction(
        float(seed_means(rows)[common].mean()), {float(at): float(points[at]) for at in points.index}
    )
    return {"equal_fraction": equal.fraction, "equal_relation": equal.relation}


def _lesions(rows: pd.DataFrame) -> dict[str, float]:
    if not _all_known(rows, LESION_COLUMNS):
        return {}
    recalls = [lesion_recall(part) for _, part in rows.groupby("seed")]
    found = {f"recall_{size}": float(np.mean([recall[size]["recall"] for recall in recalls])) for size in recalls[0]}
    counts = {f"lesions_{size}": recalls[0][size]["n"] for size in recalls[0]}
    false = seed_means(rows, "false_lesions").mean() if _all_known(rows, ["false_lesions"]) else math.nan
    return found | counts | {"false_lesions": false}


def _surface(rows: pd.DataFrame) -> dict[str, float]:
    known = rows[rows["surface_dice"].notna()] if "surface_dice" in rows else rows[:0]
    if known.empty:
        return {}
    defined = known[known["hd95"].notna()]
    return {
        "hd95": seed_means(defined, "hd95").mean(),
        "hd95_defined": len(defined),
        "hd95_undefined": len(known) - len(defined),
        "surface_dice": seed_means(known, "surface_dice").mean(),
    }


def _all_known(rows: pd.DataFrame, columns: Sequence[str]) -> bool:
    return set(columns) <= set(rows.columns) and bool(rows[list(columns)].notna().to_numpy().all())
