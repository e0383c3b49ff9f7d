"""Pictures of the report as encoded bytes: learning curves, per-image Dice, outlines over images.

Built on `Figure` objects rather than pyplot: no global state, no display, safe beside a user's own plots. Line style
and marker shape carry the meaning; colour only repeats it (Okabe-Ito colours).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from skimage.measure import find_contours

from labelmine.evaluation.context import Case, Epoch

GOLD_COLOUR, PREDICTION_COLOUR, PROMPT_COLOUR = "#ffd400", "#3fd0ff", "#ffffff"
STUDENT_STYLES = [("#d55e00", "--", "o"), ("#0072b2", "-", "^"), ("#009e73", "-.", "s"), ("#555555", ":", "D")]
# A dark rim keeps every outline visible on bright highlights and on dark tissue alike.
_RIM: list[patheffects.AbstractPathEffect] = [patheffects.withStroke(linewidth=4.4, foreground="#000000b0")]


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


def overlay(case: Case, prediction: str | None = None, prompts: bool = False) -> bytes:
    """One panel at a reader's size, without frame or title, for the page; WebP.

    Args:
        case: The image and its outlines.
        prediction: Whose outline to draw; without one the image is shown, gold included only beside a prediction.
        prompts: Whether to draw boxes and points.
    """
    height, width = case.image.shape[:2]
    figure = Figure(figsize=(4.8, 4.8 * height / width), dpi=100)
    _draw(figure.add_axes((0, 0, 1, 1)), case, prediction, prompts)
    return encode(figure, "webp")


def case_row(case: Case) -> bytes:
    """The image (with prompts, where there are any) and one panel per prediction, titled, with a key; PNG."""
    height, width = case.image.shape[:2]
    names = [None, *case.predictions]
    figure = Figure(figsize=(3.2 * len(names), 3.2 * height / width + 0.75), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _draw(axes, case, name, prompts=name is None)
        axes.set_title(panel_title(case, name), fontsize=10)
    key = "solid: gold    dashed: prediction" if case.gold is not None else "dashed: prediction"
    key += "    dotted: box prompt    +: point prompt" if case.has_prompts else ""
    figure.supxlabel(f"{case.caption}    {key}".strip(), fontsize=9)
    return encode(figure)


def panel_title(case: Case, prediction: str | None) -> str:
    """What a panel shows, in words: ``mined, Dice 0.81``."""
    if prediction is None:
        return "image and prompts" if case.has_prompts else "image"
    dice = case.dice.get(prediction)
    return prediction if dice is None or not np.isfinite(dice) else f"{prediction}, Dice {dice:.2f}"


def outlines(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.float64]]:
    """Closed outlines of a (H, W) or (K, H, W) mask as (N, 2) arrays of (x, y), origin at the top-left pixel centre."""
    channels = mask[None] if mask.ndim == 2 else mask
    # The rim of zeros closes outlines that would otherwise end at the border of the image.
    found: Iterable[npt.NDArray[np.float64]] = (
        line - 1 for channel in channels for line in find_contours(np.pad(channel.astype(np.float32), 1), 0.5)
    )
    return [line[:, ::-1] for line in found]


def plot(title: str, x_label: str) -> tuple[Figure, Axes]:
    """An empty plot in the style of the pages."""
    # Small paper with normal type, so that the words stay readable at the width of a phone.
    figure = Figure(figsize=(5.6, 3.3), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(x_label, fontsize=10)
    axes.tick_params(labelsize=9)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def encode(figure: Figure, kind: Literal["png", "webp"] = "png") -> bytes:
    """Encode a figure; the same figure gives the same bytes, as no date and no library version is written."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    if kind == "png":
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    else:
        figure.savefig(buffer, format="webp", dpi=100, pil_kwargs={"quality": 88, "method": 4})
    return buffer.getvalue()


def _draw(axes: Axes, case: Case, prediction: str | None, prompts: bool) -> None:
    axes.imshow(np.clip(case.image, 0, 1), interpolation="antialiased", aspect="auto")
    if prediction is not None and case.gold is not None:
        _outline(axes, case.gold, GOLD_COLOUR, "-", 2.4)
    if prediction is not None:
        _outline(axes, case.predictions[prediction], PREDICTION_COLOUR, (0, (3.0, 1.6)), 2.6)
    if prompts:
        _draw_prompts(axes, case)
    height, width = case.image.shape[:2]
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_axis_off()


def _outline(
    axes: Axes, mask: npt.NDArray[np.bool_], colour: str, line: str | tuple[float, tuple[float, ...]], width: float
) -> None:
    for contour in outlines(mask):
        axes.plot(*contour.T, color=colour, linestyle=line, linewidth=width, path_effects=_RIM, dash_capstyle="butt")


def _draw_prompts(axes: Axes, case: Case) -> None:
    for x0, y0, x1, y1 in [] if case.boxes is None else case.boxes:
        # Exclusive ends and pixel centres: the box of pixel 0 alone is 0, 0, 1, 1 and spans -0.5 to 0.5.
        corner, width, height = (float(x0) - 0.5, float(y0) - 0.5), float(x1 - x0), float(y1 - y0)
        box = Rectangle(
            corner, width, height, fill=False, linestyle=(0, (1.2, 1.2)), linewidth=2.6, edgecolor=PROMPT_COLOUR
        )
        box.set_path_effects(_RIM)
        axes.add_patch(box)
    if case.points is None or not len(case.points):
        return
    labels = np.ones(len(case.points), dtype=int) if case.point_labels is None else np.asarray(case.point_labels)
    for label, marker in ((1, "P"), (0, "X")):
        x, y = np.asarray(case.points)[labels == label].T
        axes.scatter(x, y, marker=marker, s=130, color=PROMPT_COLOUR, edgecolor="black", linewidth=0.9, zorder=3)


def _styles(count: int) -> list[tuple[str, str, str]]:
    # A student alone is drawn solid; dashed lines mean "the one compared with".
    return STUDENT_STYLES[1:2] if count == 1 else [STUDENT_STYLES[i % len(STUDENT_STYLES)] for i in range(count)]
