"""Plots of one run as encoded bytes: learning curves, per-image Dice, the truth of scores.

Line style and marker shape carry the meaning; colour only repeats it (Okabe-Ito colours).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from labelmine.report.context import Epoch
from labelmine.report.drawing import encode, plot

STUDENT_STYLES = [("#d55e00", "--", "o"), ("#0072b2", "-", "^"), ("#009e73", "-.", "s"), ("#555555", ":", "D")]


def learning_curve(histories: Mapping[str, Sequence[Epoch]], key: str, title: str, unit_range: bool = False) -> bytes:
    """One figure by epoch (``train_loss``, ``val_dice``), one line per student; PNG.

    Args:
        histories: Rows by the name of their line.
        key: The figure among each row's.
        title: Heading.
        unit_range: Whether the axis shows all of [0, 1].
    """
    figure, axes = plot(title, "epoch")
    for (name, history), (colour, line, marker) in zip(histories.items(), _styles(len(histories)), strict=True):
        known = [(epoch["epoch"], epoch[key]) for epoch in history if {"epoch", key} <= set(epoch)]
        every = max(1, len(known) // 10)
        x, y = [e for e, _ in known], [v for _, v in known]
        axes.plot(x, y, line, color=colour, marker=marker, markevery=every, markersize=5, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if unit_range:
        axes.set_ylim(0, 1)
    axes.legend(frameon=False)
    return encode(figure)


def reliability(bins: pd.DataFrame) -> bytes:
    """Expected against observed Dice, one mark a bin, its area by the number of labels; on the line they agree; PNG.

    Args:
        bins: ``expected``, ``observed`` and ``n`` of each bin.
    """
    figure, axes = plot("Do scores tell the truth? Observed Dice by expected Dice", "expected Dice (score)")
    axes.plot([0, 1], [0, 1], ":", color="#555555", label="perfectly calibrated")
    sizes = 30 + 170 * bins["n"] / bins["n"].max()
    colour, line, marker = STUDENT_STYLES[1]
    axes.plot(bins["expected"], bins["observed"], line, color=colour, linewidth=1)
    axes.scatter(
        bins["expected"], bins["observed"], s=sizes, color=colour, marker=marker, label="labels of held-out gold"
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_ylabel("observed Dice", fontsize=10)
    axes.legend(frameon=False)
    return encode(figure)


def dice_by_image(tables: Mapping[str, pd.DataFrame]) -> bytes:
    """Dice of every image, sorted by the first student; a stroke joins the students of one image; PNG.

    Args:
        tables: Rows of `evaluate_masks` by student, all with the same ids.
    """
    first = next(iter(tables.values())).sort_values(["dice", "id"]).reset_index(drop=True)
    columns = {name: table.set_index("id")["dice"].reindex(first["id"]).to_numpy() for name, table in tables.items()}
    values, x = np.stack(list(columns.values())), np.arange(len(first))
    figure, axes = plot("Dice of each test image (lines: means)", f"images, sorted by {next(iter(tables))}")
    axes.vlines(x, values.min(axis=0), values.max(axis=0), color="#b8bec6", linewidth=1, zorder=1)
    size = float(np.clip(1800 / max(len(first), 1), 6, 30))
    for (name, dice), (colour, line, marker) in zip(columns.items(), _styles(len(columns)), strict=True):
        hollow = line != "-"
        face = "white" if hollow else colour
        axes.scatter(x, dice, s=size, marker=marker, facecolor=face, edgecolor=colour, label=name, zorder=2)
        axes.axhline(float(dice.mean()), color=colour, linestyle=line, linewidth=1, zorder=0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xticks([])
    axes.legend(frameon=False, loc="lower right")
    return encode(figure)


def _styles(count: int) -> list[tuple[str, str, str]]:
    # A student alone is drawn solid; dashed lines mean "the one compared with".
    return STUDENT_STYLES[1:2] if count == 1 else [STUDENT_STYLES[i % len(STUDENT_STYLES)] for i in range(count)]
