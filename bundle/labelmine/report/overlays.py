"""Outlines and prompts drawn over images, as encoded bytes.

Solid lines are gold, dashed ones the machine's, dotted ones prompts; colour only repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skimage.measure import block_reduce, find_contours

from labelmine.evaluation.case import Case
from labelmine.report.drawing import encode

#: Colour and dashes, in matplotlib's words and in those of SVG.
Style: TypeAlias = tuple[str, Any, str]
GOLD_STYLE: Style = ("#ffd400", "-", "")
PREDICTION_STYLE: Style = ("#3fd0ff", (0, (3.0, 1.6)), "7 4")
PROMPT_STYLE: Style = ("#ffffff", (0, (1.2, 1.2)), "3 3")
#: Outlines of several classes on one image; a ninth class looks like the first.
CLASS_STYLES: list[Style] = [
    GOLD_STYLE,
    PREDICTION_STYLE,
    ("#ff8ad8", (0, (1.4, 1.0)), "4 3"),
    ("#9dff70", (0, (5, 1.2, 1.2, 1.2)), "9 3 3 3"),
    ("#ffffff", "-", ""),
    ("#ff9d5c", (0, (3.0, 1.6)), "7 4"),
    ("#b9a5ff", (0, (1.4, 1.0)), "4 3"),
    ("#5cffd6", (0, (5, 1.2, 1.2, 1.2)), "9 3 3 3"),
]
# A dark rim keeps every outline visible on bright highlights and on dark tissue alike.
_RIM = 1.9  # widths of it on both sides together, beyond the line's own
_THUMBNAIL = 3.2  # inches at 100 dots each, the longer side: twice what the page shows, for fine screens


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


def heat(case: Case, prediction: str, values: npt.NDArray[np.floating[Any]], highest: float = 0.5) -> bytes:
    """Values (H, W) as brightness from 0 to ``highest``, with the outline of a prediction, as large as ``overlay``."""
    height, width = values.shape
    figure = Figure(figsize=(4.8, 4.8 * height / width), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(values, cmap="hot", vmin=0, vmax=highest, interpolation="antialiased", aspect="auto")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), autoscale_on=False)
    axes.set_axis_off()
    _outline(axes, case.predictions[prediction], PREDICTION_STYLE, 1.6)
    return encode(figure, "webp")


def thumbnail(case: Case) -> bytes:
    """The image with the outlines of its gold, each class in its own of `CLASS_STYLES`, 320 pixels long; WebP."""
    case = _smaller(case)
    height, width = case.image.shape[:2]
    scale = _THUMBNAIL / max(height, width)
    # An extremely long image would else have no pixel across.
    figure = Figure(figsize=(max(width * scale, 0.1), max(height * scale, 0.1)), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    _draw_image(axes, case)
    if case.gold is not None:
        channels = case.gold[None] if case.gold.ndim == 2 else case.gold
        for index, channel in enumerate(channels):
            _outline(axes, channel, CLASS_STYLES[index % len(CLASS_STYLES)], 2.6)
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


def _smaller(case: Case) -> Case:
    """Shrink a large image to the size of a thumbnail or up to twice of it, which is drawn much sooner.

    A pixel of the mask stays as long as any pixel that it stands for was set: small objects are what one looks for.
    """
    step = int(max(case.image.shape[:2]) // (100 * _THUMBNAIL))
    if step < 2:
        return case
    image = block_reduce(case.image, (step, step, 1), np.mean)
    gold = None if case.gold is None else block_reduce(case.gold, (*[1] * (case.gold.ndim - 2), step, step), np.max)
    return Case(id=case.id, image=image, gold=gold, caption=case.caption)


def _draw(axes: Axes, case: Case, prediction: str | None, prompts: bool) -> None:
    _draw_image(axes, case)
    if prediction is not None and case.gold is not None:
        _outline(axes, case.gold, GOLD_STYLE, 2.4)
    if prediction is not None:
        _outline(axes, case.predictions[prediction], PREDICTION_STYLE, 2.6)
    if prompts:
        _draw_prompts(axes, case)


def _draw_image(axes: Axes, case: Case) -> None:
    height, width = case.image.shape[:2]
    axes.imshow(np.clip(case.image, 0, 1), interpolation="antialiased", aspect="auto")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), autoscale_on=False)
    axes.set_axis_off()


def _outline(axes: Axes, mask: npt.NDArray[np.bool_], style: Style, width: float) -> None:
    colour, line, _ = style
    axes.add_collection(
        LineCollection(
            outlines(mask),
            colors=colour,
            linestyles=[line],
            linewidths=width,
            capstyle="butt",
            path_effects=_rim(width),
        )
    )


def _rim(width: float) -> list[patheffects.AbstractPathEffect]:
    return [patheffects.withStroke(linewidth=width + _RIM, foreground="#000000b0")]


def _draw_prompts(axes: Axes, case: Case) -> None:
    for x0, y0, x1, y1 in [] if case.boxes is None else case.boxes:
        # Exclusive ends and pixel centres: the box of pixel 0 alone is 0, 0, 1, 1 and spans -0.5 to 0.5.
        corner, width, height = (float(x0) - 0.5, float(y0) - 0.5), float(x1 - x0), float(y1 - y0)
        colour, line, _ = PROMPT_STYLE
        box = Rectangle(corner, width, height, fill=False, linestyle=line, linewidth=2.6, edgecolor=colour)
        box.set_path_effects(_rim(2.6))
        axes.add_patch(box)
    if case.points is None or not len(case.points):
        return
    labels = np.ones(len(case.points), dtype=int) if case.point_labels is None else np.asarray(case.point_labels)
    for label, marker in ((1, "P"), (0, "X")):
        x, y = np.asarray(case.points)[labels == label].T
        axes.scatter(x, y, marker=marker, s=130, color=PROMPT_STYLE[0], edgecolor="black", linewidth=0.9, zorder=3)
