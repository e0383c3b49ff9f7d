"""From per-image rows to the figures of `metrics.json`: mean, spread, bootstrap interval, lesions by size."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from labelmine.atomic import write_whole
from labelmine.errors import DataError

# Our choice, not a published one: from which fraction of the image on gold is called so. Fixed, so that sets compare.
SIZE_FROM = {"small": 0.0, "medium": 0.02, "large": 0.10}
SIZE_LABELS = {
    "small": "small, under 2 %",
    "medium": "medium, 2 to 10 %",
    "large": "large, 10 % or more",
    "empty": "no lesion in gold",
}
N_RESAMPLES = 2000
# Below this many test images a mean is too uncertain to rely on, and pages say so. Our choice.
FEW_IMAGES = 20


def summarise(table: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Sum up the rows of `evaluate_masks`.

    Args:
        table: One row per image, columns as `evaluate_masks` makes them.
        seed: Of the bootstrap; the same seed gives the same interval.

    Returns:
        ``{"dice": {"mean", "std", "n", "median", "ci95": [low, high]}, "iou": {...}, "n_empty_gold", "n_groups",
        "by_size": {"small": {...dice}, "medium", "large", "empty"}, "classes": {name: {...dice}},
        "lesion_recall": {"small": {"found", "n", "recall"}, "medium", "large", "all"}, "false_lesions": {...},
        "hd95": {..., "n_undefined"}, "surface_dice": {...}}``. Sizes without images are left out of ``by_size``, and
        ``classes`` is there for K > 1 only. ``lesion_recall`` pools the lesions of all images; ``false_lesions`` is per
        image. ``hd95`` (mm) and ``surface_dice`` are there only where the spacing of any image is known, and are about
        those images; ``n_undefined`` of them have no distance, as one mask of a class was empty. ``std`` is the
        sample's (n - 1); what cannot be estimated is NaN, which `write_metrics` turns into null.
    """
    sizes = lesion_size(table)
    by_size = {name: table[sizes == name] for name in SIZE_LABELS if (sizes == name).any()}
    summary: dict[str, Any] = {
        "dice": statistics(table, "dice", seed),
        "iou": statistics(table, "iou", seed),
        "n_empty_gold": int(table["gold_empty"].sum()),
        "n_groups": int(table["group"].nunique()) if "group" in table else len(table),
        "by_size": {name: statistics(rows, "dice", seed) for name, rows in by_size.items()},
    }
    classes = [column for column in table.columns if column.startswith("dice_")]
    if classes:
        summary["classes"] = {name.removeprefix("dice_"): statistics(table, name, seed) for name in classes}
    if "false_lesions" in table:
        summary |= {"lesion_recall": lesion_recall(table), "false_lesions": statistics(table, "false_lesions", seed)}
    return summary | _surface(table, seed)


def statistics(table: pd.DataFrame, column: str, seed: int = 0) -> dict[str, Any]:
    """Mean, sample standard deviation, n, median and bootstrap 95 % interval of the mean of one column."""
    values = table[column].to_numpy(dtype=np.float64)
    return {
        "mean": float(values.mean()) if len(values) else math.nan,
        "std": float(values.std(ddof=1)) if len(values) > 1 else math.nan,
        "n": len(values),
        "median": float(np.median(values)) if len(values) else math.nan,
        "ci95": _interval(table, values, seed),
    }


def paired_difference(
    before: pd.DataFrame, after: pd.DataFrame, seed: int = 0, column: str = "dice", tolerance: float = 0.01
) -> dict[str, Any]:
    """Compare two students on the same images, each image with itself.

    Args:
        before: Rows of the first student (supervised).
        after: Rows of the second (mined), the same ids in any order.
        seed: Of the bootstrap.
        column: What is compared.
        tolerance: An image counts as better or worse from this difference on.

    Returns:
        What `statistics` gives, of ``after - before``, and the counts ``better``, ``same`` and ``worse``.

    Raises:
        DataError: When the two tables hold different images.
    """
    if (odd := set(before["id"]) ^ set(after["id"])) or len(before) != len(after):
        raise DataError(f"expected the same images in both tables, got {len(odd)} in one only: {sorted(odd)[:3]}")
    table = before.set_index("id")
    delta = after.set_index("id")[column].reindex(table.index) - table[column]
    better, worse = int((delta >= tolerance).sum()), int((delta <= -tolerance).sum())
    counts = {"better": better, "same": len(delta) - better - worse, "worse": worse}
    return statistics(table.assign(delta=delta), "delta", seed) | counts


def lesion_size(table: pd.DataFrame) -> pd.Series[str]:
    """Name the size of each image's gold: a key of `SIZE_LABELS`; a limit itself belongs to the larger size."""
    limits = [*SIZE_FROM.values(), math.inf]
    sizes = pd.cut(table["gold_area"], limits, labels=list(SIZE_FROM), right=False).astype(str)
    return sizes.mask(table["gold_empty"].astype(bool), "empty")


def lesion_recall(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Part of the gold lesions of all images together that is found, by the lesions' own size, and of ``all``.

    Returns:
        ``{"small": {"found", "n", "recall"}, "medium", "large", "all"}``; recall is NaN where there are no lesions.
    """
    counts = {size: (int(table[f"found_{size}"].sum()), int(table[f"lesions_{size}"].sum())) for size in SIZE_FROM}
    counts["all"] = (sum(found for found, _ in counts.values()), sum(n for _, n in counts.values()))
    return {
        size: {"found": found, "n": n, "recall": found / n if n else math.nan} for size, (found, n) in counts.items()
    }


def best_median_worst(table: pd.DataFrame, column: str = "dice") -> dict[str, str]:
    """Ids of the best, median and worst image; ties go by id, and no image is named twice (a set may have fewer)."""
    ranked = table.sort_values([column, "id"], ascending=[False, True])["id"].tolist()
    picks = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1} if ranked else {}
    chosen: dict[str, str] = {}
    for name, index in picks.items():
        if ranked[index] not in chosen.values():
            chosen[name] = ranked[index]
    return chosen


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all; NaN and infinity become null, which every JSON reader understands."""
    text = json.dumps(_plain(metrics), indent=2, allow_nan=False, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write the per-image rows as CSV, whole or not at all."""
    write_whole(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())


def _surface(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Distances between outlines, over the images whose spacing is known: only there surface Dice is a number."""
    known = table[table["surface_dice"].notna()] if "surface_dice" in table else table[:0]
    if known.empty:
        return {}
    defined = known[known["hd95"].notna()]
    return {
        "hd95": statistics(defined, "hd95", seed) | {"n_undefined": len(known) - len(defined)},
        "surface_dice": statistics(known, "surface_dice", seed),
    }


def _interval(table: pd.DataFrame, values: np.ndarray, seed: int) -> list[float]:
    """Percentile interval of the mean; whole groups are drawn, as slices of one volume are not independent images."""
    groups = table["group"] if "group" in table else table.index.to_series()
    drawn = pd.DataFrame({"value": values, "group": groups.to_numpy()}).groupby("group", sort=True)["value"]
    sums, counts = drawn.sum().to_numpy(), drawn.count().to_numpy()
    if len(sums) < 2:
        return [math.nan, math.nan]
    result = bootstrap(
        (sums, counts),
        lambda total, count, axis: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=N_RESAMPLES,
        batch=100,  # bounds memory: 100,000 images stay under 200 MB
        rng=np.random.default_rng(seed),
    )
    return [float(result.confidence_interval.low), float(result.confidence_interval.high)]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
