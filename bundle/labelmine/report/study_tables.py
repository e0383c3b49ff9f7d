"""Tables of a study's page: Dice by method and label fraction, changes, masks saved, lesions, distances, costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pandas as pd

from labelmine.evaluation.summary import SIZE_FROM, SIZE_LABELS
from labelmine.evaluation.wording import UNKNOWN, duration, interval, known, number, percent, signed
from labelmine.report.page import Table
from labelmine.studies.results import StudyResults
from labelmine.studies.statistics import Row
from labelmine.studies.verdict import equal_words, masks

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
Cell: TypeAlias = Callable[[Row], str]


def overview_table(rows: pd.DataFrame) -> Table:
    """Methods down, label fractions across: mean Dice and spread over seeds.

    Args:
        rows: Of `summarise_study`, one test set.
    """
    return _matrix(rows, f"Mean Dice {PLUS_MINUS} standard deviation over seeds, by part of the gold used", spread)


def difference_table(results: StudyResults, rows: pd.DataFrame) -> Table | None:
    """Difference of each method to the baseline at the same label fraction; None where there is none."""
    compared = rows[rows["method"] != results.baseline]
    if not compared["difference"].notna().any():
        return None
    name = results.titles[results.baseline]
    caption = f"Change of mean Dice against {name} at the same part of the gold"
    return _matrix(compared, caption, lambda row: f"{signed(row['difference'])} {row['verdict']}".strip())


def method_tables(results: StudyResults, rows: pd.DataFrame) -> list[Table]:
    """One table for each method, label fractions down; the change only where there is any."""
    columns: dict[str, Cell] = {
        "masks, train + val": masks,
        f"Dice, mean {PLUS_MINUS} SD": spread,
        "95 % interval": lambda row: interval([row["dice_low"], row["dice_high"]]),
        "seeds": lambda row: ", ".join(map(str, row["seeds"])),
    }
    change: dict[str, Cell] = {
        "change": lambda row: signed(row["difference"]),
        "its 95 % interval": lambda row: interval([row["difference_low"], row["difference_high"]], signed),
        "seeds higher": _seeds_higher,
    }
    tables = []
    for _, part in rows.groupby("method", sort=False):
        compared = part["difference"].notna().any()
        shown = columns | (change if compared else {})
        cells = [(percent(row["fraction"]), *(cell(row) for cell in shown.values())) for _, row in part.iterrows()]
        against = f"; change: against {results.titles[results.baseline]}, same seeds" if compared else ""
        tables.append(Table(f"{part['title'].iloc[0]}{against}", ("gold used", *shown), cells))
    return tables


def efficiency_table(results: StudyResults, rows: pd.DataFrame) -> Table | None:
    """Label fraction at which the baseline reaches the same Dice; None where it cannot be told."""
    placed = rows[rows["equal_relation"] != ""]
    if placed.empty:
        return None
    name = results.titles[results.baseline]
    caption = f"Part of the gold at which {name} reaches the same Dice, by part of the gold used"
    return _matrix(placed, caption, equal_words)


def lesion_table(rows: pd.DataFrame) -> Table | None:
    """Part of the lesions found, by their own size; None where lesions were not counted."""
    if "recall_all" not in rows or rows["recall_all"].isna().all():
        return None
    sizes = {size: SIZE_LABELS[size] for size in SIZE_FROM} | {"all": "all sizes"}
    sizes = {size: label for size, label in sizes.items() if (rows[f"lesions_{size}"] > 0).any()}
    counts = {size: int(rows[f"lesions_{size}"].max()) for size in sizes}
    columns = {f"{label} (n = {counts[size]})": _figure(f"recall_{size}") for size, label in sizes.items()}
    columns["false lesions per image"] = _figure("false_lesions")
    return _long(rows, "Part of the gold lesions found, by the lesion's own size", columns)


def surface_table(rows: pd.DataFrame) -> Table | None:
    """Distances between outlines; None where no pixel has a size."""
    if "surface_dice" not in rows or rows["surface_dice"].isna().all():
        return None
    columns = {
        "Hausdorff 95, mean (mm)": _figure("hd95"),
        "answers without a distance": _undefined,
        "surface Dice, mean": _figure("surface_dice"),
    }
    return _long(rows, "Distance between outlines, where the image says how large a pixel is", columns)


def class_table(rows: pd.DataFrame) -> Table | None:
    """Mean Dice of each class; None where there is one."""
    classes = [str(name) for name in rows if str(name).startswith("class_dice_")]
    columns = {name.removeprefix("class_dice_"): _figure(name) for name in classes}
    return _long(rows, "Mean Dice by class", columns) if classes else None


def cost_table(rows: pd.DataFrame) -> Table:
    """What each student cost: steps, time, memory and calls of the teacher."""
    columns: dict[str, Cell] = {
        "optimizer steps": lambda row: whole(row["steps"]),
        "time": lambda row: duration(row["seconds"]) if known(row["seconds"]) else UNKNOWN,
        "peak memory (MB)": lambda row: whole(row["peak_memory_mb"]),
        "teacher calls": lambda row: whole(row["teacher_calls"]),
        "images without a mask": lambda row: whole(row["n_unlabeled"]),
    }
    return _long(rows, "Cost of one student: mean over seeds; of memory, the highest", columns)


def spread(row: Row) -> str:
    """``0.712 ± 0.010``; a dash for the spread of one seed."""
    return f"{number(row['dice'])} {PLUS_MINUS} {number(row['dice_sd'])}"


def whole(value: float) -> str:
    """``12,500``, or a dash where the figure is not known."""
    return f"{value:,.0f}" if known(value) else UNKNOWN


def _matrix(rows: pd.DataFrame, caption: str, cell: Cell) -> Table:
    """Methods down, label fractions across; a dash where a method was not examined."""
    fractions = sorted(rows["fraction"].unique())
    lines = []
    for _, part in rows.groupby("method", sort=False):
        by_fraction = {row["fraction"]: cell(row) for _, row in part.iterrows()}
        lines.append((str(part["title"].iloc[0]), *(by_fraction.get(fraction, UNKNOWN) for fraction in fractions)))
    return Table(caption, ("", *map(percent, fractions)), lines)


def _long(rows: pd.DataFrame, caption: str, columns: Mapping[str, Cell]) -> Table:
    """One line for each method and label fraction."""
    cells = [
        (f"{row['title']}, {percent(row['fraction'])}", *(cell(row) for cell in columns.values()))
        for _, row in rows.iterrows()
    ]
    return Table(caption, ("method, gold used", *columns), cells)


def _figure(column: str) -> Cell:
    return lambda row: number(row[column])


def _seeds_higher(row: Row) -> str:
    differences = row["seed_differences"]
    return f"{sum(value > 0 for value in differences)} of {len(differences)}" if differences else UNKNOWN


def _undefined(row: Row) -> str:
    defined, undefined = row["hd95_defined"], row["hd95_undefined"]
    return f"{undefined:.0f} of {defined + undefined:.0f}" if known(defined) else UNKNOWN
