"""One self-contained page that a clinician can read, mail and keep: no network, no script, no folder names."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelmine.atomic import write_whole
from labelmine.evaluation import figures, page
from labelmine.evaluation.context import Case, ReportContext
from labelmine.evaluation.redaction import without_folders
from labelmine.evaluation.rendering import Picture, embed, panels, render
from labelmine.evaluation.summary import summarise
from labelmine.progress import progress

logger = logging.getLogger(__name__)


def write_report(output_dir: Path, context: ReportContext) -> Path:
    """Write ``report/index.html`` and the pictures in ``report/figures/``.

    Args:
        output_dir: The run's output folder.
        context: What to show; the page leaves out what is absent.

    Returns:
        Path of the page. An earlier page is replaced once the new one is whole.
    """
    folder = output_dir / "report"
    html = render("report.html.j2", _view(context, folder / "figures"))
    _remove_older_cases(folder / "figures", context)
    target = folder / "index.html"
    write_whole(target, html.encode("utf-8"))
    logger.info("report: %s", target)
    return target


def _view(context: ReportContext, folder: Path) -> dict[str, Any]:
    summaries = {name: summarise(table, context.seed) for name, table in context.tables.items() if len(table)}
    return {
        "context": context,
        "dataset": without_folders(context.dataset),
        "headline": page.headline(context, summaries),
        "warnings": page.warnings(context, summaries),
        "results": page.result_grid(summaries) if summaries else None,
        "breakdowns": [
            grid
            for grid in (
                page.breakdown_grid(summaries, "classes", "Mean Dice by class"),
                page.size_grid(summaries),
                page.lesion_grid(summaries),
            )
            if grid
        ],
        "has_distances": any("hd95" in summary for summary in summaries.values()),
        "plots": _plots(context, summaries, folder),
        "test_cases": _cases(context.test_cases, "test", folder),
        "pseudo_cases": _cases(context.pseudo_cases, "pseudo", folder),
        "pseudo_sentences": page.pseudo_label_sentences(context.pseudo_labels) if context.pseudo_labels else [],
        "gate_sentences": page.gate_sentences(context.gate) if context.gate else [],
        "gate_grid": page.gate_grid(context.gate) if context.gate else None,
        "reasons": without_folders(context.pseudo_labels.reasons) if context.pseudo_labels else {},
        "counts": page.count_rows(context.counts),
        "quarantined": without_folders(context.quarantined),
        "seconds": page.second_rows(context.seconds),
        "command": without_folders(context.command),
        "config": page.config_rows(context.config),
    }


def _plots(context: ReportContext, summaries: Mapping[str, Any], folder: Path) -> dict[str, Picture | None]:
    names = ("dice", "train_loss", "val_dice", "labels", "reliability")
    plots: dict[str, Picture | None] = dict.fromkeys(names)
    if summaries:
        png = figures.dice_by_image({name: context.tables[name] for name in summaries})
        means = ", ".join(f"{name} {page.number(entry['dice']['mean'])}" for name, entry in summaries.items())
        plots["dice"] = _saved(png, folder / "dice_by_image.png", f"Dice of each test image, sorted; means: {means}.")
    for key, title in (("train_loss", "Training loss"), ("val_dice", "Dice on gold validation")):
        histories = {n: h for n, h in context.histories.items() if any({"epoch", key} <= set(epoch) for epoch in h)}
        if histories:
            ends = ", ".join(f"{name} over {len(history)} epochs" for name, history in histories.items())
            png = figures.learning_curve(histories, key, title, unit_range=key == "val_dice")
            plots[key] = _saved(png, folder / f"{key}.png", f"{title} by epoch: {ends}.")
    if context.gate and context.gate.reliability is not None:
        png = figures.reliability(context.gate.reliability)
        alt = "; ".join(f"{row.expected:.2f} {row.observed:.2f}" for row in context.gate.reliability.itertuples())
        plots["reliability"] = _saved(
            png, folder / "reliability.png", f"Expected and observed Dice of labels of held-out gold, by bin: {alt}."
        )
    if curves := page.label_curves(context.label_history):
        png = figures.learning_curve(curves, "value", "Pseudo labels made during training", unit_range=True)
        ends = "; ".join(
            f"{n} {page.number(c[0]['value'])} to {page.number(c[-1]['value'])}" for n, c in curves.items()
        )
        plots["labels"] = _saved(png, folder / "label_quality.png", f"Pseudo labels from first to last epoch: {ends}.")
    return plots


def _cases(cases: Sequence[Case], kind: str, folder: Path) -> list[dict[str, Any]]:
    view = []
    for index, case in enumerate(progress(cases, f"report pictures, {kind}", leave=False)):
        write_whole(folder / _case_name(kind, index, case), figures.case_row(case))
        view.append({"id": case.id, "caption": without_folders(case.caption), "panels": panels(case)})
    return view


def _case_name(kind: str, index: int, case: Case) -> str:
    # The id may hold folders and any sign; the number keeps names apart after cleaning.
    return f"{kind}_{index + 1}_{re.sub(r'[^a-zA-Z0-9._-]+', '_', case.id)[-60:]}.png"


def _remove_older_cases(folder: Path, context: ReportContext) -> None:
    """An earlier run into the same folder may have shown other cases; only names this module gives are removed."""
    shown = {"test": context.test_cases, "pseudo": context.pseudo_cases}
    current = {_case_name(kind, index, case) for kind, cases in shown.items() for index, case in enumerate(cases)}
    for path in folder.glob("*.png"):
        if re.match(r"(test|pseudo)_\d+_", path.name) and path.name not in current:
            path.unlink()


def _saved(png: bytes, path: Path, alt: str) -> Picture:
    write_whole(path, png)
    return embed(png, "png", alt)
