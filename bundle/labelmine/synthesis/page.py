"""The page of a synthesis run: whether made images helped, how alike real ones they are, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.evaluation import figures, paired_difference, summarise
from labelmine.evaluation.page import (
    Grid,
    config_rows,
    interval_note,
    number,
    result_grid,
    second_rows,
    signed,
)
from labelmine.evaluation.redaction import without_folders
from labelmine.evaluation.rendering import Picture, embed, render
from labelmine.synthesis.grids import grid_png
from labelmine.synthesis.likeness import Likeness

_TEMPLATES = Path(__file__).parent / "templates"
CAPTIONS = {
    "real": "Gold that the generator learnt from",
    "admitted": "Made and admitted",
    "rejected": "Made and rejected",
}


@dataclass(frozen=True, kw_only=True)
class SynthesisReport:
    """What the page shows.

    Attributes:
        dataset: Name of the image set.
        seed: The run's seed.
        content: What was made, see ``Generator``.
        inpainted: Whether only lesions were made, in real images.
        tables: Per-image rows of `evaluate_masks` by student: ``supervised`` and ``mixed``; empty where images were
            made without masks.
        validation_dice: Mean Dice on gold validation by student.
        kept: The student that was kept.
        accepted: Number of admitted candidates.
        reasons: Why others were not, with counts.
        likeness: One row for each set of images.
        feature_network: Whose features the distances are of.
        pictures: Images (N, 3, H, W) and masks, by a key of ``CAPTIONS``.
        histories: Learning curves.
        warnings: Sentences a reader must see first.
        seconds: Duration by stage.
        settings: The knobs.
    """

    dataset: str
    seed: int
    content: str
    inpainted: bool = False
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    validation_dice: Mapping[str, float] = field(default_factory=dict)
    kept: str | None = None
    accepted: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    likeness: Sequence[Likeness] = ()
    feature_network: str = ""
    pictures: Mapping[str, tuple[Tensor, Tensor | None]] = field(default_factory=dict)
    histories: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def headline(self) -> list[str]:
        """Say what the run found, in sentences that stand alone."""
        made = self.accepted + sum(self.reasons.values())
        lines = [f"{self.accepted} of {made} made images were admitted."]
        if {"supervised", "mixed"} - set(self.tables):
            return lines + (["The student without them is kept."] if self.kept else [])
        without, with_them = (self.validation_dice[name] for name in ("supervised", "mixed"))
        told = f"Dice on gold validation {with_them:.3f} with them, {without:.3f} without"
        lines.append(
            f"They help: {told}; the student that saw them is kept."
            if self.kept == "mixed"
            else f"They do not help ({told}): the student without them is kept."
        )
        change = paired_difference(self.tables["supervised"], self.tables["mixed"], self.seed)
        lines.append(
            f"On {change['n']} gold test images they change the mean Dice by {signed(change['mean'])}"
            f"{interval_note(change['ci95'], signed)}."
        )
        return lines


def write_synthesis_page(report: SynthesisReport, folder: Path) -> Path:
    """Write ``index.html`` and the grids ``real.png``, ``admitted.png`` and ``rejected.png`` into a folder.

    Returns:
        Path of the page.
    """
    pictures = {name: grid_png(images, masks) for name, (images, masks) in report.pictures.items()}
    for name, data in pictures.items():
        write_whole(folder / f"{name}.png", data)
    summaries = {name: summarise(table, report.seed) for name, table in report.tables.items()}
    view = {
        "dataset": without_folders(report.dataset),
        "seed": report.seed,
        "content": report.content.replace("_", " "),
        "inpainted": report.inpainted,
        "headline": report.headline(),
        "warnings": [without_folders(line) for line in report.warnings],
        "results": result_grid(summaries) if summaries else None,
        "kept": report.kept,
        "plots": _plots(report),
        "likeness": _likeness_grid(report.likeness),
        "feature_network": report.feature_network,
        "reasons": [(reason, str(count)) for reason, count in report.reasons.items()],
        "pictures": [embed(data, "png", _alt(report, name), CAPTIONS[name]) for name, data in pictures.items()],
        "outlined": report.content != "images",
        "seconds": second_rows(report.seconds),
        "settings": config_rows(report.settings),
    }
    target = folder / "index.html"
    write_whole(target, render("synthesis.html.j2", view, _TEMPLATES).encode("utf-8"))
    return target


def _likeness_grid(rows: Sequence[Likeness]) -> Grid:
    cells: list[tuple[str, ...]] = [
        (row.name, str(row.n), number(row.frechet), number(row.ms_ssim_within), number(row.ms_ssim_nearest))
        for row in rows
    ]
    header = ("", "images", "Fréchet distance to training gold", "MS-SSIM within", "MS-SSIM to nearest gold")
    return Grid("How alike real images are the made ones?", header, cells)


def _plots(report: SynthesisReport) -> list[Picture]:
    students = {name: rows for name, rows in report.histories.items() if rows and name != "generator"}
    plots = []
    if rows := report.histories.get("generator"):
        title = "Training of the generator: mean squared error by epoch"
        plots.append(embed(figures.learning_curve({"generator": rows}, "train_loss", title), "png", title))
    if students:
        title = "Dice on gold validation by epoch"
        curve = figures.learning_curve(students, "val_dice", title, unit_range=True)
        plots.append(embed(curve, "png", f"{title}: {', '.join(students)}"))
    if len(report.tables) > 1:
        plots.append(embed(figures.dice_by_image(report.tables), "png", "Dice of every gold test image, by student"))
    return plots


def _alt(report: SynthesisReport, name: str) -> str:
    images, masks = report.pictures[name]
    return f"{CAPTIONS[name]}: {len(images)} images{', masks outlined' if masks is not None else ''}"
