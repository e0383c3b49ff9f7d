"""Empty plots in the style of the pages, and figures as encoded bytes.

Built on `Figure` objects rather than pyplot: no global state, no display, safe beside a user's own plots.
"""

from __future__ import annotations

import io
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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
