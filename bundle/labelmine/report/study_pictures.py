"""Pictures of a study's page, and what they show in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from labelmine.evaluation.wording import interval, number, percent
from labelmine.report import study_plots
from labelmine.report.page import Columns, Part, Plot
from labelmine.report.pictures import embed
from labelmine.report.study_plots import Style
from labelmine.studies.results import TEST, StudyResults

# Bands of more methods than this would hide each other; each then has a figure of its own beside the baseline.
_BANDS = 2


def study_pictures(results: StudyResults, rows: pd.DataFrame, test_set: str, styles: Mapping[str, Style]) -> list[Part]:
    """One figure of all methods; where they are many, one more for each beside the baseline, with bands.

    Args:
        results: The study.
        rows: Of `summarise_study`, one test set.
        test_set: Its name.
        styles: Of `styles_of`.
    """
    where = "" if test_set == TEST else f", {test_set}"
    methods = list(dict.fromkeys(rows["method"]))
    if rows["fraction"].nunique() == 1:
        title = f"Dice at {percent(rows['fraction'].iloc[0])} of the gold{where}"
        return [_plot(study_plots.dice_by_method(rows, styles, title), title, rows)]
    title = f"Dice by part of the gold used{where}"
    few = len(methods) <= _BANDS
    everything = study_plots.dice_by_fraction(rows, styles, title, bands=methods if few else ())
    pictures: list[Part] = [_plot(everything, title, rows, ends=few)]
    if few:
        return pictures
    pairs = [_pair(results, rows, method, where, styles) for method in methods if method != results.baseline]
    return [*pictures, Columns(pairs)]


def _pair(results: StudyResults, rows: pd.DataFrame, method: str, where: str, styles: Mapping[str, Style]) -> Plot:
    """One method beside the baseline."""
    part = rows[rows["method"].isin([method, results.baseline])]
    title = " against ".join(dict.fromkeys([results.titles[method], *part["title"].iloc[:1]])) + where
    return _plot(study_plots.dice_by_fraction(part, styles, title, bands=(method, results.baseline)), title, part)


def _plot(png: bytes, title: str, rows: pd.DataFrame, ends: bool = True) -> Plot:
    return Plot(embed(png, "png", _alt(title, rows, ends)))


def _alt(title: str, rows: pd.DataFrame, ends: bool) -> str:
    """The figure in words and numbers."""
    lines = []
    for label, part in rows.groupby("title", sort=False):
        points = [
            f"{percent(row['fraction'])} {number(row['dice'])}"
            + (f" ({interval([row['dice_low'], row['dice_high']])})" if ends else "")
            for _, row in part.iterrows()
        ]
        lines.append(f"{label}: {', '.join(points)}")
    return f"{title}. {'Mean Dice (95 % interval)' if ends else 'Mean Dice'} by part of the gold. {'; '.join(lines)}."
