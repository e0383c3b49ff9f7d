"""Pictures of a study: Dice against label fraction; line style and marker carry the meaning, colour repeats it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from textwrap import fill
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from labelmine.evaluation.wording import percent
from labelmine.report.drawing import encode, plot

#: Colour, line style and marker. Dashed and round is the one compared with, as in the report of one run.
Style: TypeAlias = tuple[str, Any, str]
BASELINE_STYLE: Style = ("#b34700", "--", "o")
STYLES: list[Style] = [
    ("#0072b2", "-", "^"),
    ("#00785a", "-.", "s"),
    ("#555555", ":", "D"),
    ("#8c3a6f", (0, (5, 1, 1, 1, 1, 1)), "v"),
    ("#7a5c00", (0, (8, 2)), "P"),
    ("#1b1b1b", (0, (1, 1)), "X"),
    ("#3d4fb8", (0, (3, 1, 1, 1)), "<"),
    ("#a03030", (0, (4, 1)), ">"),
    ("#2a7f8e", (0, (2, 1)), "p"),
    ("#6a3fa0", (0, (6, 2, 1, 2)), "h"),
    ("#4f6b1c", (0, (1, 2)), "*"),
]
# A label closer than this part of the axis to the one before would run into it.
_LABEL_ROOM = 0.07
_LEGEND_WIDTH = 30  # characters of a line; longer titles would leave the picture


def styles_of(methods: Sequence[str], baseline: str) -> dict[str, Style]:
    """One style for each method, the same in every figure of a page."""
    others = [method for method in methods if method != baseline]
    return {baseline: BASELINE_STYLE} | {name: STYLES[index % len(STYLES)] for index, name in enumerate(others)}


def dice_by_fraction(
    table: pd.DataFrame, styles: Mapping[str, Style], title: str, bands: Collection[str] = ()
) -> bytes:
    """Mean Dice against label fraction, logarithmic; PNG.

    Args:
        table: Rows of `summarise_study` of one test set; each method is a line.
        styles: Of `styles_of`.
        title: Heading.
        bands: Methods whose 95 % interval and single seeds are drawn; the baseline's band is hatched.
    """
    figure, axes = plot(title, "part of the gold used (logarithmic)")
    for method, rows in table.groupby("method", sort=False):
        colour, line, marker = style = styles[str(method)]
        x, name = rows["fraction"].to_numpy(dtype=float), fill(str(rows["title"].iloc[0]), _LEGEND_WIDTH)
        axes.plot(x, rows["dice"], linestyle=line, color=colour, marker=marker, markersize=5.5, label=name, zorder=3)
        if method in bands:
            hatch = "////" if style == BASELINE_STYLE else None
            low, high = rows["dice_low"].to_numpy(dtype=float), rows["dice_high"].to_numpy(dtype=float)
            axes.fill_between(x, low, high, facecolor=colour, alpha=0.16, hatch=hatch, edgecolor=colour, linewidth=0)
            for fraction, dice in zip(x, rows["seed_dice"], strict=True):
                _seed_marks(axes, [fraction] * len(dice), dice, style)
    _fraction_axis(axes, sorted(table["fraction"].unique()))
    axes.set_ylabel("Dice, mean over test images", fontsize=10)
    count = table["method"].nunique()
    figure.set_size_inches(5.6, 3.3 + 0.22 * ((count + 1) // 2))
    figure.legend(loc="outside lower center", ncols=min(count, 2), frameon=False, fontsize=9, handlelength=3.6)
    return encode(figure)


def dice_by_method(table: pd.DataFrame, styles: Mapping[str, Style], title: str) -> bytes:
    """Mean Dice, 95 % interval and every seed of each method at one label fraction, a line of text each; PNG.

    Args:
        table: Rows of `summarise_study` of one test set and fraction.
        styles: Of `styles_of`.
        title: Heading.
    """
    figure, axes = plot(title, "Dice, mean over test images")
    figure.set_size_inches(5.6, 1.3 + 0.42 * len(table))
    for height, (_, row) in enumerate(table.iterrows()):
        colour, _, marker = style = styles[row["method"]]
        axes.hlines(height, row["dice_low"], row["dice_high"], color=colour, linewidth=1.6)
        axes.plot([row["dice"]], [height], marker=marker, color=colour, markersize=7.5, zorder=3)
        _seed_marks(axes, row["seed_dice"], [height + 0.22] * len(row["seed_dice"]), style)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#e6e8eb", linewidth=0.8)
    axes.set_yticks(range(len(table)), labels=list(table["title"]))
    axes.set_ylim(len(table) - 0.4, -0.6)
    return encode(figure)


def _seed_marks(axes: Axes, x: Sequence[float], y: Sequence[float], style: Style) -> None:
    axes.scatter(x, y, s=11, marker=style[2], facecolor="white", edgecolor=style[0], linewidth=0.8, zorder=2)


def _fraction_axis(axes: Axes, fractions: Sequence[float]) -> None:
    axes.set_xscale("log")
    room = _LABEL_ROOM * np.log(fractions[-1] / fractions[0])
    shown: list[float] = []
    for fraction in fractions[::-1]:
        if not shown or np.log(shown[-1] / fraction) >= room:
            shown.append(fraction)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FixedFormatter(list(map(percent, shown))))
    axes.xaxis.set_minor_locator(NullLocator())
