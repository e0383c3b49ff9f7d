"""Write a study: one self-contained page, a tidy table and the same tables in Markdown."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from labelmine.atomic import write_whole
from labelmine.evaluation.page import FEW_IMAGES, Grid, interval, number
from labelmine.evaluation.redaction import without_folders
from labelmine.evaluation.rendering import Picture, embed, panels, render
from labelmine.evaluation.summary import write_table
from labelmine.progress import progress
from labelmine.studies import figures, page, verdict
from labelmine.studies.figures import Style
from labelmine.studies.results import TEST, StudyResults
from labelmine.studies.statistics import summarise_study

logger = logging.getLogger(__name__)
_TEMPLATES = Path(__file__).parent / "templates"
# Bands of more methods than this would hide each other; each then has a figure of its own beside the baseline.
_BANDS = 2


def write_study(results: StudyResults, folder: Path) -> Path:
    """Write ``index.html``, ``results.csv`` and ``results.md`` into a folder; earlier ones are replaced whole.

    Args:
        results: What the cells left behind.
        folder: The study's output folder.

    Returns:
        Path of the page.
    """
    table = summarise_study(results)
    view = _view(results, table)
    write_table(folder / "results.csv", _tidy(table))
    write_whole(folder / "results.md", _markdown(view).encode("utf-8"))
    target = folder / "index.html"
    write_whole(target, render("study.html.j2", view, _TEMPLATES).encode("utf-8"))
    logger.info("study: %s", target)
    return target


def _view(results: StudyResults, table: pd.DataFrame) -> dict[str, Any]:
    styles = figures.styles_of(list(results.titles), results.baseline)
    main = table[table["test_set"] == TEST] if TEST in results.test_sets else table
    return {
        "name": without_folders(results.name),
        "baseline": results.titles.get(results.baseline),
        "seeds": sorted({seed for seeds in table["seeds"] for seed in seeds}),
        "warnings": verdict.warnings(results, table),
        "caveats": verdict.caveats(results, table),
        "test_sets": [_test_set(results, table, name, styles) for name in results.test_sets],
        "efficiency": verdict.efficiency(results, main),
        "efficiency_grid": page.efficiency_grid(results, main),
        "costs": page.cost_grid(main),
        "cases": [
            {"id": case.id, "caption": without_folders(case.caption), "panels": panels(case)}
            for case in progress(results.cases, "study pictures", leave=False)
        ],
        "failures": without_folders(results.failures),
        "missing": list(results.missing),
        "environment": list(without_folders(results.environment).items()),
        "commands": without_folders(list(results.commands)),
        "few_images": FEW_IMAGES,
    }


def _test_set(results: StudyResults, table: pd.DataFrame, name: str, styles: Mapping[str, Style]) -> dict[str, Any]:
    rows = table[table["test_set"] == name]
    first = rows.iloc[0]
    grids = [
        page.difference_grid(results, rows),
        page.class_grid(rows),
        page.lesion_grid(rows),
        page.surface_grid(rows),
    ]
    known = [grid for grid in grids if grid]
    return {
        "name": "" if name == TEST else without_folders(name),
        "headline": verdict.headline(results, table, name),
        "images": verdict.count(int(first["n_images"]), "gold test image"),
        "groups": int(first["n_groups"]) if first["n_groups"] < first["n_images"] else None,
        "empty": int(first["n_empty_gold"]),
        "pictures": _pictures(results, rows, name, styles),
        "grids": [page.overview_grid(rows), *known],
        "methods": page.method_grids(results, rows),
        "has_lesions": page.lesion_grid(rows) is not None,
        "has_distances": page.surface_grid(rows) is not None,
    }


def _pictures(results: StudyResults, rows: pd.DataFrame, name: str, styles: Mapping[str, Style]) -> list[Picture]:
    """One figure of all methods; where they are many, one more for each beside the baseline, with bands."""
    where = "" if name == TEST else f", {name}"
    methods = list(dict.fromkeys(rows["method"]))
    if rows["fraction"].nunique() == 1:
        title = f"Dice at {verdict.percent(rows['fraction'].iloc[0])} of the gold{where}"
        return [embed(figures.dice_by_method(rows, styles, title), "png", _alt(title, rows))]
    everything = f"Dice by part of the gold used{where}"
    if len(methods) <= _BANDS:
        image = figures.dice_by_fraction(rows, styles, everything, bands=methods)
        return [embed(image, "png", _alt(everything, rows))]
    pictures = [embed(figures.dice_by_fraction(rows, styles, everything), "png", _alt(everything, rows, ends=False))]
    for method in methods:
        if method == results.baseline:
            continue
        part = rows[rows["method"].isin([method, results.baseline])]
        title = " against ".join(dict.fromkeys([results.titles[method], *part["title"].iloc[:1]]))
        image = figures.dice_by_fraction(part, styles, f"{title}{where}", bands=(method, results.baseline))
        pictures.append(embed(image, "png", _alt(f"{title}{where}", part)))
    return pictures


def _alt(title: str, rows: pd.DataFrame, ends: bool = True) -> str:
    """The figure in words and numbers."""
    lines = []
    for label, part in rows.groupby("title", sort=False):
        points = [
            f"{verdict.percent(row['fraction'])} {number(row['dice'])}"
            + (f" ({interval([row['dice_low'], row['dice_high']])})" if ends else "")
            for _, row in part.iterrows()
        ]
        lines.append(f"{label}: {', '.join(points)}")
    return f"{title}. {'Mean Dice (95 % interval)' if ends else 'Mean Dice'} by part of the gold. {'; '.join(lines)}."


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Sequences become words apart by blanks, so that any program reads the file."""
    lists = {
        name: table[name].map(lambda values: " ".join(f"{value:.6g}" for value in values))
        for name in ("seeds", "seed_dice", "common_seeds", "seed_differences")
    }
    return table.assign(**lists)


def _markdown(view: Mapping[str, Any]) -> str:
    parts = [f"# Does mining help on {view['name']} with these few masks?", ""]
    parts += [f"> **Note:** {line}\n" for line in view["warnings"]]
    for test_set in view["test_sets"]:
        if test_set["name"]:
            parts += [f"## On another set: {test_set['name']}", ""]
        parts += [_bullets(test_set["headline"]), f"{test_set['images']}; {test_set['empty']} without a lesion.", ""]
        if not test_set["name"]:
            parts += [f"{line}\n" for line in view["caveats"]]
        parts += [page.markdown(grid) for grid in (*test_set["grids"], *test_set["methods"])]
    grids: list[tuple[str, Grid | None]] = [("Label efficiency", view["efficiency_grid"]), ("Cost", view["costs"])]
    for heading, grid in grids:
        if grid:
            parts += [f"## {heading}", "", page.markdown(grid)]
    if view["failures"] or view["missing"]:
        lines = [f"{cell}: {reason}" for cell, reason in view["failures"]]
        parts += [
            "## Cells without figures",
            "",
            _bullets([*lines, *(f"{cell}: not run yet" for cell in view["missing"])]),
        ]
    parts += ["## Made with", "", _bullets([f"{name}: {value}" for name, value in view["environment"]])]
    parts += [f"```\n{line}\n```" for line in view["commands"]]
    return "\n".join(parts).rstrip() + "\n"


def _bullets(lines: list[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
