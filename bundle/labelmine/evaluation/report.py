"""One self-contained page that a clinician can read, mail and keep: no network, no script, no folder names."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tqdm import tqdm

from labelmine.evaluation import figures, page
from labelmine.evaluation.atomic import write_whole
from labelmine.evaluation.context import Case, ReportContext
from labelmine.evaluation.redaction import without_folders
from labelmine.evaluation.summary import summarise

logger = logging.getLogger(__name__)
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """An embedded picture: data URL, what it shows for those who cannot see it, and its heading."""

    source: str
    alt: str
    title: str = ""


def write_report(output_dir: Path, context: ReportContext) -> Path:
    """Write ``report/index.html`` and the pictures in ``report/figures/``.

    Args:
        output_dir: The run's output folder.
        context: What to show; the page leaves out what is absent.

    Returns:
        Path of the page. An earlier page is replaced once the new one is whole.
    """
    folder = output_dir / "report"
    html = _environment().get_template("report.html.j2").render(_view(context, folder / "figures"))
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
            for grid in (page.breakdown_grid(summaries, "classes", "Mean Dice by class"), page.size_grid(summaries))
            if grid
        ],
        "plots": _plots(context, summaries, folder),
        "test_cases": _cases(context.test_cases, "test", folder),
        "pseudo_cases": _cases(context.pseudo_cases, "pseudo", folder),
        "pseudo_sentences": page.pseudo_label_sentences(context.pseudo_labels) if context.pseudo_labels else [],
        "reasons": without_folders(context.pseudo_labels.reasons) if context.pseudo_labels else {},
        "counts": page.count_rows(context.counts),
        "quarantined": without_folders(context.quarantined),
        "seconds": page.second_rows(context.seconds),
        "command": without_folders(context.command),
        "config": page.config_rows(context.config),
    }


def _plots(context: ReportContext, summaries: Mapping[str, Any], folder: Path) -> dict[str, Picture | None]:
    plots: dict[str, Picture | None] = {"dice": None, "curves": None}
    if summaries:
        png = figures.dice_by_image({name: context.tables[name] for name in summaries})
        means = ", ".join(f"{name} {page.number(entry['dice']['mean'])}" for name, entry in summaries.items())
        plots["dice"] = _saved(png, folder / "dice_by_image.png", f"Dice of each test image, sorted; means: {means}.")
    histories = {name: history for name, history in context.histories.items() if history}
    if histories:
        png = figures.learning_curves(histories)
        epochs = ", ".join(f"{name} over {len(history)} epochs" for name, history in histories.items())
        alt = f"Learning curves, training loss and validation Dice: {epochs}."
        plots["curves"] = _saved(png, folder / "learning_curves.png", alt)
    return plots


def _cases(cases: Sequence[Case], kind: str, folder: Path) -> list[dict[str, Any]]:
    view = []
    for index, case in enumerate(tqdm(cases, desc=f"report pictures, {kind}", leave=False, disable=None)):
        # The id may hold folders and any sign; the number keeps names apart after cleaning.
        name = re.sub(r"[^\w.-]+", "_", case.id)[-60:]
        write_whole(folder / f"{kind}_{index + 1}_{name}.png", figures.case_row(case))
        view.append({"id": case.id, "caption": without_folders(case.caption), "panels": _panels(case)})
    return view


def _panels(case: Case) -> list[Picture]:
    panels = []
    for prediction in (None, *case.predictions):
        title = figures.panel_title(case, prediction)
        drawn = f"{'gold (solid) and ' if case.gold is not None else ''}{title} (dashed)" if prediction else title
        image = figures.overlay(case, prediction, prompts=prediction is None)
        panels.append(Picture(_data_url(image, "webp"), f"{case.id}: {drawn}", title))
    return panels


def _saved(png: bytes, path: Path, alt: str) -> Picture:
    write_whole(path, png)
    return Picture(_data_url(png, "png"), alt)


def _data_url(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _environment() -> Environment:
    loader = FileSystemLoader(_TEMPLATES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
