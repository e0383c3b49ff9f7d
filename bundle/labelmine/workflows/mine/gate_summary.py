"""What the gate found, read from its verdict: for the page and for ``metrics.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labelmine.quality import Verdict
from labelmine.report import GateSummary
from labelmine.run.files import GATE_FILE


def gate_summary(folder: Path) -> GateSummary | None:
    """Return what the page shows; None where there was no gate."""
    if not (folder / GATE_FILE).is_file():
        return None
    verdict = Verdict.load(folder / GATE_FILE)
    learnt = verdict.expected_dice.calibration if verdict.expected_dice else None
    return GateSummary(
        sentence=verdict.gate.sentence() + _left_out(verdict.setting),
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


def _left_out(min_iou: float) -> str:
    return f" Objects to which the teacher gives an IoU below {min_iou:g} are left out." if min_iou else ""
