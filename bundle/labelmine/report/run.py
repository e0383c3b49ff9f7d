"""The page of one run (mine, train, evaluate): what was found, on which images, and which labels to trust."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from labelmine.evaluation.summary import summarise
from labelmine.evaluation.wording import count
from labelmine.report import run_sentences, run_tables
from labelmine.report.context import ReportContext
from labelmine.report.finding_pairs import finding_pairs
from labelmine.report.glossary import glossary_section
from labelmine.report.page import Cases, Code, Columns, Fold, Notes, Page, Pairs, Part, Section, Stack, Text
from labelmine.report.pictures import case_keys
from labelmine.report.redaction import without_folders
from labelmine.report.rendering import write_page
from labelmine.report.run_pictures import RunPictures
from labelmine.report.run_tables import Summaries

logger = logging.getLogger(__name__)

_SHORT = 8  # files set aside that are shown at once; more are folded


def write_report(output_dir: Path, context: ReportContext) -> Path:
    """Write ``report/index.html`` and the pictures in ``report/figures/``.

    Args:
        output_dir: The run's output folder.
        context: What to show; the page leaves out what is absent.

    Returns:
        Path of the page. An earlier page is replaced once the new one is whole.
    """
    folder = output_dir / "report"
    target = write_page(_page(context, RunPictures(folder / "figures")), folder / "index.html")
    logger.info("report: %s", target)
    return target


def _page(context: ReportContext, pictures: RunPictures) -> Page:
    summaries = {name: summarise(table, context.seed) for name, table in context.tables.items() if len(table)}
    dataset = without_folders(context.dataset)
    return Page(
        title=context.title,
        window_title=f"{context.title}: {dataset}",
        about=f"Image set {dataset}, seed {context.seed}.",
        lead=[
            Text(run_sentences.headline(context, summaries)),
            Notes(run_sentences.warnings(context, summaries)),
        ],
        sections=[
            _results(context, summaries, pictures),
            Section("Test cases", [Cases(pictures.cases(context.test_cases, "test"), case_keys())]),
            _gate(context, pictures),
            _pseudo_labels(context, pictures),
            _training(context, pictures),
            _data(context),
            _making(context),
            _glossary(context, summaries),
        ],
    )


def _results(context: ReportContext, summaries: Summaries, pictures: RunPictures) -> Section:
    if not summaries:
        return Section("Results on gold test images", [])
    breakdowns = [
        run_tables.breakdown_table(summaries, "classes", "Mean Dice by class"),
        run_tables.size_table(summaries),
        run_tables.lesion_table(summaries),
    ]
    results = replace(run_tables.result_table(summaries), kept=context.kept)
    marked = [replace(table, kept=context.kept) for table in breakdowns if table]
    parts = [Columns([results, Stack(marked)]), pictures.dice(context, summaries)]
    return Section("Results on gold test images", parts)


def _gate(context: ReportContext, pictures: RunPictures) -> Section:
    gate = context.gate
    parts: list[Part | None] = []
    if gate:
        parts = [Text(run_sentences.gate_sentences(gate)), run_tables.gate_table(gate), pictures.reliability(gate)]
    return Section("Which labels to trust", parts)


def _pseudo_labels(context: ReportContext, pictures: RunPictures) -> Section:
    summary = context.pseudo_labels
    parts: list[Part] = []
    if summary:
        parts = [
            Text(run_sentences.pseudo_label_sentences(summary)),
            Pairs("Why pseudo labels were rejected", list(summary.reasons.items())),
        ]
    cases = pictures.cases(context.pseudo_cases, "pseudo")
    return Section("Pseudo labels", [*parts, Cases(cases, case_keys(prompts=True))])


def _training(context: ReportContext, pictures: RunPictures) -> Section:
    curves = [
        pictures.curve(context, "train_loss", "Training loss"),
        pictures.curve(context, "val_dice", "Dice on gold validation", unit_range=True),
        pictures.labels(context.label_history),
    ]
    got = run_tables.training_table(context.histories, context.config.get("image_size"))
    return Section("Training", [got, Columns(curves)])


def _data(context: ReportContext) -> Section:
    files = context.quarantined
    summary = f"{count(len(files), 'file')} set aside, with the reason"
    aside = Pairs("Folders are cut from paths", list(files), words=True)
    counts = Pairs("What the image set held", run_tables.count_rows(context.counts))
    assumed = finding_pairs(context.findings)
    return Section("Data", [counts, assumed, Fold(summary, [aside], open=len(files) <= _SHORT)])


def _making(context: ReportContext) -> Section:
    settings = Pairs("Folders are cut from paths", run_tables.config_rows(context.config), words=True)
    seconds = Pairs("Time by stage", run_tables.second_rows(context.seconds))
    return Section("How it was made", [Code(context.command), seconds, Fold("All settings", [settings])])


def _glossary(context: ReportContext, summaries: Summaries) -> Section:
    names = {
        "gold": True,
        "dice_iou": True,
        "lesions": bool(summaries),
        "distances": any("hd95" in summary for summary in summaries.values()),
        "interval": True,
        "labeler": context.gate is not None,
        "mining": context.pseudo_labels is not None,
    }
    return glossary_section(*(name for name, shown in names.items() if shown))
