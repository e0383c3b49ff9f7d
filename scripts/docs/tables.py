"""Tables of the results' pages, from the small CSV files beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
FORMS = Path(__file__).with_name("tables.yaml")
OPTIONAL = re.compile(r"\[([^\]]*)\]")
KINDS = ["kvasir_seg", "busi", "cxr_lung", "isic2016", "hippocampus"]
NAMES = {
    "kvasir_seg": "Kvasir-SEG",
    "busi": "BUSI",
    "cxr_lung": "chest X-rays",
    "isic2016": "ISIC 2016",
    "hippocampus": "hippocampus",
}

#: Masks that train and that validate in the study on Kvasir-SEG, by per cent.
MASKS = {
    5: "29 train + 7 validate",
    10: "57 + 15",
    25: "144 + 36",
    50: "289 + 72",
    75: "433 + 108",
    100: "577 + 144",
}


def measured(folder: str = "") -> str:
    """Return supervised beside mined by set, today's recipe first.

    Args:
        folder: Where the page's links to results begin, such as ``docs/results/``.
    """
    table = read("measured")
    rows = []
    for recipe in dict.fromkeys(table["recipe"]):
        rows.append((f"*{recipe}*", "", "", "", "", ""))
        for known in table[table["recipe"] == recipe].to_dict("records"):
            row = {**known, **OF_PAGES[known["page"]]()} if pd.isna(known["runs"]) else known
            rows.append(
                (
                    f"{row['set']} ({row['n_test']})",
                    f"{row['train']} + {row['validate']}",
                    f"{row['runs']:g}",
                    _with_spread(row["supervised"], row["supervised_spread"]),
                    _with_spread(row["mined"], row["mined_spread"]),
                    _difference(row, folder),
                )
            )
    head = ("set (test images)", "masks: train + validate", "runs", "supervised", "mined", "difference (95 %)")
    return markdown(head, rows)


def demonstration() -> str:
    """Return the table of the demonstration's seeds, with their mean."""
    table = read("demonstration")
    rows = [
        (
            row["run"],
            f"{row['supervised']:.3f}",
            f"{row['mined']:.3f}",
            f"{row['mined'] - row['supervised']:+.3f}",
            f"{row['labels']:.3f}",
            f"{row['own']:.3f}",
            f"{row['left_out_below']:g}",
        )
        for row in table.to_dict("records")
    ]
    mean = table[["supervised", "mined", "labels", "own"]].mean()
    gain = (table["mined"] - table["supervised"]).mean()
    rows.append(
        (
            "mean",
            f"{mean['supervised']:.3f}",
            f"{mean['mined']:.3f}",
            f"**{gain:+.3f}**",
            f"{mean['labels']:.3f}",
            f"{mean['own']:.3f}",
            "",
        )
    )
    return markdown(("seed, threads", "supervised", "mined, kept", "", "labels", "its masks", "left out below"), rows)


def study(methods: str, fractions: str) -> str:
    """Return a table of the study on Kvasir-SEG: methods down, parts of the gold across.

    Args:
        methods: Their keys in `study_kvasir.csv`, with commas between.
        fractions: Per cent, with commas between.
    """
    table = read("study_kvasir").set_index(["method", "percent"])
    percents = [int(one) for one in fractions.split(",")]
    rows = []
    for method in methods.split(","):
        cells = [_cell(table, method, percent) for percent in percents]
        rows.append((str(table.loc[method, "title"].iloc[0]), *cells))
    return markdown(("", *(f"{one} % ({MASKS[one]})" for one in percents)), rows)


def exam() -> str:
    """Return the exam of the compact teachers on sets that they never saw, or saw (in italics)."""
    table = read("teacher_domains").set_index(["teacher", "set"])
    seen = {("general", "busi"), ("general", "cxr_lung"), ("compact", "busi"), ("compact", "cxr_lung")}
    rows = []
    for teacher in ("general", "general_no_busi", "compact", "compact_no_busi"):
        cells = []
        for one in KINDS:
            if (teacher, one) not in table.index:
                cells.append("*seen*" if (teacher, one) in seen else "-")
                continue
            row = table.loc[(teacher, one)]
            cells.append(f"*{row['dice']:.3f}*" if (teacher, one) in seen else f"{row['dice']:.3f} ± {row['std']:.3f}")
        rows.append((f"`{teacher}`", *cells))
    boxes = table.groupby("set")["box_dice"].first()
    rows.append(("the jittered boxes, filled", *(f"{boxes[one]:.3f}" for one in KINDS)))
    counts = table.groupby("set")["n"].first()
    return markdown(("teacher", *(f"{NAMES[one]} ({counts[one]})" for one in KINDS)), rows)


def cells(name: str) -> str:
    """Return a table for each size of training, methods down and sets across: mean and spread over seeds."""
    parts = []
    for (fraction, pixels), part in read(name).groupby(["fraction", "pixels"]):
        sets = sorted(part["dataset"].unique())
        parts.append(f"{fraction:.0%} of the masks, {pixels} px. Test Dice, mean ± standard deviation over n seeds.")
        rows = []
        for method, group in part.groupby("method"):
            steps = ", ".join(str(count) for count in sorted(group["steps"].unique()))
            shown = [_over_seeds(group[group["dataset"] == one]["mean"]) for one in sets]
            rows.append((str(method).replace("_", " "), steps, *shown))
        parts.append(markdown(("", "steps", *(NAMES[one] for one in sets)), rows))
    return "\n\n".join(parts)


def table(name: str) -> str:
    """Return the table of a results' file whose cells are put together as `tables.yaml` says."""
    form = forms()[name]
    # As text: a figure has the digits that the file gives it.
    rows = pd.read_csv(RESULTS / f"{name}.csv", comment="#", dtype=str, keep_default_na=False).to_dict("records")
    columns = {heading: [put_together(cell, row) for row in rows] for heading, cell in form["cells"].items()}
    for heading in form.get("best", ()):
        columns[heading] = _largest_bold(columns[heading])
    return markdown((heading.strip() for heading in columns), zip(*columns.values(), strict=True))


def forms() -> dict[str, dict[str, Any]]:
    """Return how the cells of each such table are put together, by its name."""
    known: dict[str, dict[str, Any]] = yaml.safe_load(FORMS.read_text(encoding="utf-8"))
    return known


def put_together(cell: str, row: Mapping[Hashable, str]) -> str:
    """Return a cell with its figures, without the parts in brackets that lack one.

    >>> put_together("{dice}[ ± {std}]", {"dice": "0.80", "std": "0.01"})
    '0.80 ± 0.01'
    >>> put_together("{dice}[ ± {std}]", {"dice": "0.80", "std": ""})
    '0.80'
    """

    def shown(part: re.Match[str]) -> str:
        complete = all(row[name] for name in re.findall(r"{(\w+)}", part[1]))
        return part[1] if complete else ""

    return OPTIONAL.sub(shown, cell).format(**row)


def review_order() -> str:
    """Return the Dice of all labels after so many reviews in each order, and the reviewer's minutes."""
    rows = []
    for (dataset, count), after in read("review_order").groupby(["dataset", "reviews"], sort=False):
        n_labels = after["labels"].iloc[0]
        if 0 < count < n_labels:
            orders = ("ranking", "lowest score", "random", "gain, if gold told")
            cells = [_of_orders(after[after["order"] == order]) for order in orders]
            rows.append((str(dataset), f"{count} of {n_labels}", *cells))
    head = ("set", "reviews", "ranking", "lowest score", "random, 3 orders", "gold tells the gain")
    return markdown(head, rows)


def read(name: str) -> pd.DataFrame:
    """Return the table of a results' file."""
    return pd.read_csv(RESULTS / f"{name}.csv", comment="#")


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells_of_polyps() -> dict[str, float]:
    """Return what the seeds of today's recipe reached on Kvasir-SEG with a tenth of the masks."""
    cells = read("recipe").query("dataset == 'kvasir_seg' and fraction == 0.1 and pixels == 128 and steps == 500")
    found: dict[str, float] = {}
    for name, method in {"supervised": "supervised", "mined": "one_time"}.items():
        dice = cells[cells["method"] == method]["mean"]
        found |= {name: dice.mean(), f"{name}_spread": dice.std(), "runs": len(dice)}
    return found


def _demonstrations() -> dict[str, float]:
    table = read("demonstration")
    return {"supervised": table["supervised"].mean(), "mined": table["mined"].mean(), "runs": len(table)}


#: Where the figures of a page's row come from, if `measured.csv` has none.
OF_PAGES = {"recipe": _cells_of_polyps, "demonstration": _demonstrations}


def _cell(table: pd.DataFrame, method: str, percent: int) -> str:
    if (method, percent) not in table.index:
        return "not run"
    row = table.loc[(method, percent)]
    shown = f"{row['mean']:.3f} ± {row['std']:.3f}"
    if pd.isna(row["difference"]):
        return shown
    return f"{shown} ({row['difference']:+.3f}, {row['low']:.3f} to {row['high']:.3f})"


def _of_orders(runs: pd.DataFrame) -> str:
    dice, minutes = (_range(runs[name], places) for name, places in (("dice", 3), ("minutes", 0)))
    return f"{dice} ({minutes} min)"


def _range(values: pd.Series[float], places: int) -> str:
    return " to ".join(dict.fromkeys(f"{value:.{places}f}" for value in (values.min(), values.max())))


def _largest_bold(cells: list[str]) -> list[str]:
    figures = [float(cell.split()[0]) for cell in cells]
    return [f"**{cell}**" if figure == max(figures) else cell for figure, cell in zip(figures, cells, strict=True)]


def _over_seeds(dice: pd.Series[float]) -> str:
    if dice.empty:
        return "not run"
    spread = f" ± {dice.std():.3f}" if len(dice) > 1 else ""
    return f"{dice.mean():.3f}{spread} (n = {len(dice)})"


def _with_spread(value: float, spread: float) -> str:
    return f"{value:.3f}" if pd.isna(spread) else f"{value:.3f} ± {spread:.3f}"


def _difference(row: dict[Hashable, float], folder: str) -> str:
    interval = "" if pd.isna(row["low"]) else f" ({row['low']:.3f} to {row['high']:.3f})"
    return f"[{row['mined'] - row['supervised']:+.3f}]({folder}{row['page']}.md){interval}"


MAKERS: dict[str, Callable[..., str]] = {
    "table": table,
    "cells": cells,
    "review_order": review_order,
    "measured": measured,
    "demonstration": demonstration,
    "study": study,
    "exam": exam,
}
