"""Figures of the results' pages, from the same small CSV files as their tables.

Their bytes differ with matplotlib's version, so a picture keeps the SHA-256 of what it was drawn from, and is stale
where that is another one today.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import tables
from labelmine.report.drawing import plot

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
BEFORE, NOW, BESIDE, PLAIN = "#9aa5b1", "#0f766e", "#d97706", "#52606d"


def recipe() -> Figure:
    """Draw the default before beside today's recipe and what mining adds, by set."""
    cells = tables.read("recipe").groupby(["dataset", "method"])["mean"].mean().unstack()
    figure, axes = plot("Test Dice by set", "Kvasir-SEG and BUSI: a tenth of the masks; the others: a quarter")
    sets = [one for one in tables.KINDS if one in cells.index]
    for shift, (method, title, colour) in enumerate(
        (
            ("old_default", "default before", BEFORE),
            ("supervised", "recipe", NOW),
            ("one_time", "recipe, mined", BESIDE),
        )
    ):
        bars = axes.bar(
            np.arange(len(sets)) + 0.28 * (shift - 1), cells.loc[sets, method], 0.26, label=title, color=colour
        )
        axes.bar_label(bars, ["" if np.isnan(one) else f"{one:.2f}" for one in cells.loc[sets, method]], fontsize=8)
    axes.set_xticks(range(len(sets)), [tables.NAMES[one] for one in sets], fontsize=8)
    axes.set_ylim(0, 1.15)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(fontsize=8, ncols=3, loc="upper left")
    return figure


def study_kvasir() -> Figure:
    """Draw supervised and mined students by part of the gold."""
    table = tables.read("study_kvasir")
    figure, axes = plot("Kvasir-SEG: test Dice by part of the gold", "per cent of the masks")
    for method, title, colour in (("supervised", "supervised", BEFORE), ("one_time", "mined, one-time", NOW)):
        part = table[table["method"] == method].sort_values("percent")
        axes.errorbar(part["percent"], part["mean"], part["std"], label=title, color=colour, marker="o", capsize=3)
    axes.legend(fontsize=9, loc="lower right")
    return figure


def fitted_teachers() -> Figure:
    """Draw what each step makes of two teachers' labels."""
    steps = {"came": "as it came", "fitted": "fitted", "threshold": "threshold", "blended": "blended"}
    figure, axes = plot("BUSI: Dice of labels on held-out gold", "")
    table = tables.read("fitted_teachers")
    for row, colour in zip(table.to_dict("records"), (BEFORE, NOW), strict=True):
        name = str(row["teacher"]).strip("`")
        axes.plot(list(steps.values()), [row[one] for one in steps], label=name, color=colour, marker="o")
    axes.axhline(table["student"].iloc[0], color=PLAIN, linestyle="--", linewidth=1, label="the student itself")
    axes.legend(fontsize=9, loc="lower right")
    return figure


def made_kvasir() -> Figure:
    """Draw what made images change by number of masks, with intervals."""
    table = tables.read("made_kvasir")
    figure, axes = plot("Kvasir-SEG: change of test Dice by made images", "masks that train")
    for shift, kind, title, colour in ((-0.06, "whole", "whole images", NOW), (0.06, "lesions", "new lesions", BESIDE)):
        change = table[f"{kind}_change"]
        reach = [change - table[f"{kind}_low"], table[f"{kind}_high"] - change]
        axes.errorbar(np.arange(len(table)) + shift, change, reach, label=title, color=colour, fmt="o", capsize=3)
    axes.axhline(0, color=PLAIN, linewidth=1)
    axes.set_xticks(range(len(table)), table["n"])
    axes.legend(fontsize=9)
    return figure


def review_order() -> Figure:
    """Draw the Dice of all labels by minutes of review, for each order."""
    table = tables.read("review_order")
    figure, _ = plot("", "")
    figure.clear()
    for axes, (dataset, part) in zip(figure.subplots(1, 2), table.groupby("dataset", sort=False), strict=True):
        _orders(axes, part)
        axes.set_title(tables.NAMES[str(dataset)], fontsize=10, loc="left")
        axes.set_xlabel("minutes of review", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _orders(axes: Axes, part: pd.DataFrame) -> None:
    for order, colour in (("random", BEFORE), ("lowest score", BESIDE), ("ranking", NOW)):
        for number, (_, run) in enumerate(part[part["order"] == order].groupby("seed")):
            axes.plot(run["minutes"], run["dice"], color=colour, marker=".", label="" if number else order)
    axes.legend(fontsize=8, loc="lower right")


FIGURES: dict[str, Callable[[], Figure]] = {
    "recipe": recipe,
    "study_kvasir": study_kvasir,
    "fitted_teachers": fitted_teachers,
    "made_kvasir": made_kvasir,
    "review_order": review_order,
}


def source(name: str) -> str:
    """Return the SHA-256 of what a figure is drawn from: its table and this file."""
    parts = (tables.RESULTS / f"{name}.csv", Path(__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()


def stale() -> Iterator[tuple[Path, str]]:
    """Yield each picture that is missing or was drawn from something else, with its name."""
    for name in FIGURES:
        path = IMAGES / f"{name}.png"
        if not path.is_file() or Image.open(path).info.get("Comment") != source(name):
            yield path, name


def drawn(name: str) -> bytes:
    """Return a figure as a picture that says what it was drawn from."""
    buffer = io.BytesIO()
    FIGURES[name]().savefig(buffer, format="png", dpi=150, metadata={"Software": None, "Comment": source(name)})
    return buffer.getvalue()
