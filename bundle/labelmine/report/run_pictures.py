"""Pictures of a run's page: embedded in it, and as PNG files beside it for slides and papers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from labelmine.atomic import remove, write_whole
from labelmine.evaluation.case import Case
from labelmine.evaluation.wording import known, number
from labelmine.progress import progress
from labelmine.report import overlays, plots
from labelmine.report.context import Epoch, GateSummary, ReportContext
from labelmine.report.page import CasePictures, Plot
from labelmine.report.pictures import case_pictures, embed
from labelmine.report.run_tables import Summaries


class RunPictures:
    """Draws the pictures of a run's page and keeps a copy of each in a folder.

    Args:
        folder: Where copies go.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is drawn yet."""
        self.folder = folder

    def dice(self, context: ReportContext, summaries: Summaries) -> Plot | None:
        """Dice of every test image; None without one."""
        if not summaries:
            return None
        png = plots.dice_by_image({name: context.tables[name] for name in summaries})
        means = ", ".join(f"{name} {number(entry['dice']['mean'])}" for name, entry in summaries.items())
        return self._kept(png, "dice_by_image", f"Dice of each test image, sorted; means: {means}.")

    def curve(self, context: ReportContext, key: str, title: str, unit_range: bool = False) -> Plot | None:
        """A figure of training by epoch; None where no student has it."""
        histories = {n: h for n, h in context.histories.items() if any({"epoch", key} <= set(epoch) for epoch in h)}
        if not histories:
            return None
        ends = ", ".join(f"{name} over {len(history)} epochs" for name, history in histories.items())
        png = plots.learning_curve(histories, key, title, unit_range)
        return self._kept(png, key, f"{title} by epoch: {ends}.")

    def labels(self, history: Sequence[Epoch]) -> Plot | None:
        """Quality of pseudo labels by epoch; None where none were made during training."""
        curves = label_curves(history)
        if not curves:
            return None
        png = plots.learning_curve(curves, "value", "Pseudo labels made during training", unit_range=True)
        ends = "; ".join(f"{n} {number(c[0]['value'])} to {number(c[-1]['value'])}" for n, c in curves.items())
        return self._kept(png, "label_quality", f"Pseudo labels from first to last epoch: {ends}.")

    def reliability(self, gate: GateSummary) -> Plot | None:
        """Expected and observed Dice; None where scores are not calibrated."""
        if gate.reliability is None:
            return None
        bins = "; ".join(f"{row.expected:.2f} {row.observed:.2f}" for row in gate.reliability.itertuples())
        alt = f"Expected and observed Dice of labels of held-out gold, by bin: {bins}."
        return self._kept(plots.reliability(gate.reliability), "reliability", alt)

    def cases(self, cases: Sequence[Case], kind: str) -> list[CasePictures]:
        """Outlines over images; ``kind`` is part of the files' names (``test``, ``pseudo``)."""
        shown = []
        for index, case in enumerate(progress(cases, f"report pictures, {kind}", leave=False)):
            write_whole(self.folder / _case_name(kind, index, case), overlays.case_row(case), durable=False, told=False)
            shown.append(case_pictures(case))
        self._remove_older(cases, kind)
        return shown

    def _remove_older(self, cases: Sequence[Case], kind: str) -> None:
        """An earlier run into the same folder may have shown other cases; only names given here are removed."""
        current = {_case_name(kind, index, case) for index, case in enumerate(cases)}
        for path in self.folder.glob(f"{kind}_*.png"):
            if re.match(rf"{kind}_\d+_", path.name) and path.name not in current:
                remove(path)

    def _kept(self, png: bytes, name: str, alt: str) -> Plot:
        write_whole(self.folder / f"{name}.png", png, durable=False, told=False)
        return Plot(embed(png, "png", alt))


def label_curves(history: Sequence[Epoch]) -> dict[str, list[dict[str, float]]]:
    """Lines of the figure of pseudo labels by epoch; those without a known value are left out."""
    names = {"Dice against hidden gold": "dice", "score": "score", "fraction accepted": "accepted"}
    curves = {
        name: [{"epoch": row["epoch"], "value": row[key]} for row in history if known(row.get(key))]
        for name, key in names.items()
    }
    return {name: rows for name, rows in curves.items() if rows}


def _case_name(kind: str, index: int, case: Case) -> str:
    # The id may hold folders and any sign; the number keeps names apart after cleaning.
    return f"{kind}_{index + 1}_{re.sub(r'[^a-zA-Z0-9._-]+', '_', case.id)[-60:]}.png"
