"""The page of a synthesis run: whether made images helped, how alike real ones they are, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.evaluation.summary import paired_difference, summarise
from labelmine.evaluation.wording import interval_note, number, signed
from labelmine.report import plots
from labelmine.report.glossary import glossary_section
from labelmine.report.page import Columns, Fold, Notes, Page, Pairs, Part, Plot, Section, Table, Text
from labelmine.report.pictures import embed
from labelmine.report.redaction import without_folders
from labelmine.report.rendering import write_page
from labelmine.report.run_tables import config_rows, result_table, second_rows
from labelmine.synthesis.grids import grid_png
from labelmine.synthesis.likeness import Likeness

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
    return write_page(_page(report, folder), folder / "index.html")


def _page(report: SynthesisReport, folder: Path) -> Page:
    dataset = without_folders(report.dataset)
    return Page(
        title=f"Do made images help on {dataset}?",
        window_title=f"Made images: {dataset}",
        about=_about(report),
        lead=[Text(report.headline()), Notes(report.warnings)],
        sections=[
            _results(report),
            _pictures(report, folder),
            _likeness(report),
            Section("Training", [Columns(_plots(report))]),
            _making(report),
            _glossary(report),
        ],
    )


def _about(report: SynthesisReport) -> str:
    made = f"Made: {report.content.replace('_', ' ')}"
    if report.inpainted:
        return (
            f"{made}, new lesions in real images; seed {report.seed}. Lesions are made, backgrounds are patients': "
            "never examine a student on these images, and keep them where patients' images stay."
        )
    return f"{made}; seed {report.seed}. Made images are no patients: never examine a student on them."


def _results(report: SynthesisReport) -> Section:
    summaries = {name: summarise(table, report.seed) for name, table in report.tables.items()}
    table = replace(result_table(summaries), kept=report.kept) if summaries else None
    return Section("Results on gold test images", [Columns([table])])


def _pictures(report: SynthesisReport, folder: Path) -> Section:
    """Grids of images; each is left beside the page too."""
    grids = []
    for name, (images, masks) in report.pictures.items():
        png = grid_png(images, masks)
        write_whole(folder / f"{name}.png", png, durable=False, told=False)
        alt = f"{CAPTIONS[name]}: {len(images)} images{', masks outlined' if masks is not None else ''}"
        grids.append(Plot(embed(png, "png", alt, CAPTIONS[name])))
    outlined = ["Yellow: outline of the mask."] if report.content != "images" else []
    reasons = Pairs("Why made images were rejected", list(report.reasons.items()))
    return Section("Look at them", [Text(outlined, "soft"), *grids, reasons])


def _likeness(report: SynthesisReport) -> Section:
    rows = [
        (row.name, str(row.n), number(row.frechet), number(row.ms_ssim_within), number(row.ms_ssim_nearest))
        for row in report.likeness
    ]
    header = ("", "images", "Fréchet distance to training gold", "MS-SSIM within", "MS-SSIM to nearest gold")
    lines = [
        f"Features: {report.feature_network}. Compare a made set with held-out gold: about equal figures are the best "
        "one can hope for."
    ]
    if report.inpainted:
        lines[0] += (
            " Only lesions were made: backgrounds are the training gold's, so that both distance and likeness to it "
            "come out near."
        )
    table = Table("How alike real images are the made ones?", header, rows)
    return Section("Likeness", [table, Text(lines, "soft")] if rows else [])


def _glossary(report: SynthesisReport) -> Section:
    # Without spacing the columns are there, and empty.
    distances = any(table["hd95"].notna().any() for table in report.tables.values() if "hd95" in table)
    results = ["dice_iou", *(["distances"] if distances else [])]
    results = [*results, "interval"] if report.tables else []
    return glossary_section("gold", "admitted", "copy", *results, "frechet", "ms_ssim")


def _plots(report: SynthesisReport) -> list[Part]:
    students = {name: rows for name, rows in report.histories.items() if rows and name != "generator"}
    shown: list[Part] = []
    if rows := report.histories.get("generator"):
        title = "Training of the generator: mean squared error by epoch"
        curve = plots.learning_curve({"generator": rows}, "train_loss", title)
        shown.append(Plot(embed(curve, "png", title)))
    if students:
        title = "Dice on gold validation by epoch"
        curve = plots.learning_curve(students, "val_dice", title, unit_range=True)
        shown.append(Plot(embed(curve, "png", f"{title}: {', '.join(students)}")))
    if len(report.tables) > 1:
        dice = plots.dice_by_image(report.tables)
        shown.append(Plot(embed(dice, "png", "Dice of every gold test image, by student")))
    return shown


def _making(report: SynthesisReport) -> Section:
    settings = Pairs("Folders are cut from paths", config_rows(report.settings), words=True)
    return Section(
        "How it was made", [Pairs("Time by stage", second_rows(report.seconds)), Fold("All settings", [settings])]
    )
