"""What gold said of teacher and labeler, read from the run's files: for the page and for ``metrics.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labelmine.quality import Verdict
from labelmine.report import GateSummary
from labelmine.run.files import FITTED_FILE, FITTED_FOLDER, GATE_FILE


def gate_summary(folder: Path) -> GateSummary | None:
    """Return what the page shows; None where there was no gate."""
    if not (folder / GATE_FILE).is_file():
        return None
    verdict = Verdict.load(folder / GATE_FILE)
    learnt = verdict.expected_dice.calibration if verdict.expected_dice else None
    return GateSummary(
        sentence=" ".join([*_fit_sentence(folder), verdict.gate.sentence(), *_left_out(verdict.setting)]),
        rows=verdict.gate.rows,
        reliability=learnt.bins() if learnt else None,
        error=learnt.error if learnt else float("nan"),
        n=len(learnt.observed) if learnt else 0,
    )


def gate_figures(folder: Path) -> dict[str, Any]:
    """Return the part ``gate`` of ``metrics.json``; nothing where there was no gate."""
    if not (folder / GATE_FILE).is_file():
        return {}
    verdict = Verdict.load(folder / GATE_FILE)
    learnt = verdict.expected_dice.calibration if verdict.expected_dice else None
    figures = {**verdict.gate.to_json(), "min_iou": verdict.setting}
    return {"gate": {**figures, "calibration": learnt.summary() if learnt else None}}


def fit_figures(folder: Path) -> dict[str, Any]:
    """Return the part ``fit`` of ``metrics.json``; nothing where the teacher was not fitted."""
    path = folder / FITTED_FOLDER / FITTED_FILE
    return {"fit": json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}


def _fit_sentence(folder: Path) -> list[str]:
    fit = fit_figures(folder).get("fit")
    if fit is None:
        return []
    before, after = fit["dice"]["original"], fit["dice"]["fitted"]
    outcome = "so the fitted one labels" if fit["kept"] else "so it labels as it came"
    return [
        f"The teacher's decoder was fitted to {fit['n_gold']} gold images: on {fit['n']} others its labels had Dice "
        f"{after:.3f}, as it came {before:.3f}, {outcome}."
    ]


def _left_out(min_iou: float) -> list[str]:
    return [f"Objects to which the teacher gives an IoU below {min_iou:g} are left out."] if min_iou else []
