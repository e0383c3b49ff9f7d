"""The page of a study: whether mining helps on an image set, how sure that is, and what it costs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from labelmine.atomic import write_whole
from labelmine.evaluation.summary import write_table
from labelmine.evaluation.wording import count
from labelmine.progress import progress
from labelmine.report import study_tables
from labelmine.report.glossary import glossary_section
from labelmine.report.markdown import as_markdown
from labelmine.report.page import Cases, Code, Fold, Notes, Page, Pairs, Part, Section, Table, Text
from labelmine.report.pictures import case_keys, case_pictures
from labelmine.report.redaction import without_folders
from labelmine.report.rendering import write_page
from labelmine.report.study_pictures import study_pictures
from labelmine.report.study_plots import Style, styles_of
from labelmine.studies import verdict
from labelmine.studies.results import TEST, StudyResults
from labelmine.studies.statistics import summarise_study

logger = logging.getLogger(__name__)

_SHORT = 12  # rows or lines that are shown at once; more are folded


def write_study(results: StudyResults, folder: Path) -> Path:
    """Write ``index.html``, ``results.csv`` and ``results.md`` into a folder; earlier ones are replaced whole.

    Args:
        results: What the cells left behind.
        folder: The study's output folder.

    Returns:
        Path of the page.
    """
    table = summarise_study(results)
    page = _page(results, table)
    write_table(folder / "results.csv", _tidy(table))
    write_whole(folder / "results.md", as_markdown(page).encode("utf-8"))
    target = write_page(page, folder / "index.html")
    logger.info("study: %s", target)
    return target


def _page(results: StudyResults, table: pd.DataFrame) -> Page:
    styles = styles_of(list(results.titles), results.baseline)
    seeds = sorted({seed for seeds in table["seeds"] for seed in seeds})
    first, *others = results.test_sets
    name = without_folders(results.name)
    heading = "gold test images" if first == TEST else without_folders(first)
    return Page(
        title=f"Does mining help on {name} with these few masks?",
        window_title=f"Does mining help? {name}",
        about=f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}.",
        lead=[
            *_headline(results, table, first),
            Notes(verdict.warnings(results, table)),
            Text(verdict.caveats(results, table), "soft"),
        ],
        sections=[
            Section(f"Dice on {heading}", [_about(table, first), *_figures(results, table, first, styles)]),
            _savings(results, table),
            *(_another_set(results, table, other, styles) for other in others),
            Section("What it costs", [_foldable(study_tables.cost_table(_main(results, table)))]),
            _cases(results),
            _unfinished(results),
            _making(results),
            _glossary(table),
        ],
    )


def _main(results: StudyResults, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the study's own test set, where it has been examined."""
    return table[table["test_set"] == TEST] if TEST in results.test_sets else table


def _headline(results: StudyResults, table: pd.DataFrame, test_set: str) -> list[Part]:
    first, *others = verdict.headline(results, table, test_set)
    return [Text([first]), Text(others, "list")]


def _about(table: pd.DataFrame, test_set: str) -> Text:
    """Say what was examined."""
    row = table[table["test_set"] == test_set].iloc[0]
    images = count(int(row["n_images"]), "gold test image")
    if row["n_groups"] < row["n_images"]:
        images += f" of {int(row['n_groups'])} patients, videos or volumes"
    empty = int(row["n_empty_gold"]) or "none"
    return Text([f"{images}, the same for every method, fraction and seed; {empty} of them without a lesion."], "soft")


def _figures(results: StudyResults, table: pd.DataFrame, test_set: str, styles: Mapping[str, Style]) -> Iterator[Part]:
    """Pictures, then tables by subject, then a table for each method."""
    rows = table[table["test_set"] == test_set]
    yield from study_pictures(results, rows, test_set, styles)
    marks = (
        "Large marks: mean over seeds. Band or line: 95 % interval over test images. Small hollow marks: single seeds."
    )
    yield Text([marks], "soft")
    yield study_tables.overview_table(rows)
    tables = (
        study_tables.difference_table(results, rows),
        study_tables.class_table(rows),
        study_tables.lesion_table(rows),
        study_tables.surface_table(rows),
    )
    yield from (_foldable(part) for part in tables if part)
    yield Fold("Each method by itself", study_tables.method_tables(results, rows), open=test_set == TEST)


def _foldable(table: Table) -> Part:
    return Fold(f"{table.caption}: {len(table.rows)} rows", [table]) if len(table.rows) > _SHORT else table


def _savings(results: StudyResults, table: pd.DataFrame) -> Section:
    rows = _main(results, table)
    saved = study_tables.efficiency_table(results, rows)
    if not saved:
        return Section("How many masks it saves", [])
    note = (
        f"Shown is the best method at each part of the gold. Read off the line of {results.titles[results.baseline]} "
        "between the parts that were measured, over the logarithm; never beyond them."
    )
    return Section(
        "How many masks it saves", [Text(verdict.efficiency(results, rows), "list"), Text([note], "soft"), saved]
    )


def _another_set(results: StudyResults, table: pd.DataFrame, name: str, styles: Mapping[str, Style]) -> Section:
    parts = [_about(table, name), *_headline(results, table, name), *_figures(results, table, name, styles)]
    return Section(f"On another set: {without_folders(name)}", parts)


def _cases(results: StudyResults) -> Section:
    cases = progress(results.cases, "study pictures", leave=False)
    return Section("Test cases", [Cases([case_pictures(case) for case in cases], case_keys())])


def _unfinished(results: StudyResults) -> Section:
    """Name the cells that failed, with the reason, and those that have not been run."""
    missing = results.missing
    lines = Text([f"{cell}: not run yet" for cell in missing], "list")
    parts = [
        Pairs("Failed, with the reason", list(results.failures), words=True),
        Fold(f"{len(missing)} not run yet", [lines], open=len(missing) <= _SHORT),
    ]
    return Section("Cells without figures", parts)


def _making(results: StudyResults) -> Section:
    again = "Folders are cut from paths. Started again, a study runs only the cells that are not finished."
    parts = [
        *map(Code, results.commands),
        Text([again] if results.commands else [], "soft"),
        Pairs("Versions and machine", list(results.environment.items()), words=True),
    ]
    return Section("How it was made", parts)


def _glossary(table: pd.DataFrame) -> Section:
    lesions = study_tables.lesion_table(table) is not None
    distances = study_tables.surface_table(table) is not None
    measures = [name for name, shown in (("lesions", lesions), ("distances", distances)) if shown]
    return glossary_section("gold", "gold_used", "dice", "seed", "interval", "verdict", *measures, "teacher_calls")


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Sequences become words apart by blanks, so that any program reads the file."""
    lists = {
        name: table[name].map(lambda values: " ".join(f"{value:.6g}" for value in values))
        for name in ("seeds", "seed_dice", "common_seeds", "seed_differences")
    }
    return table.assign(**lists)
