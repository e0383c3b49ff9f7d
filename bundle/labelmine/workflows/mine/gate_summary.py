"""What the gate found, read from its verdict: for the page and for ``metrics.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labelmine.evaluation import GateSummary
from labelmine.quality import Verdict
from labelmine.run.files import GATE_FILE


def gate_summary(folder: Path) -> GateSummary | None:
    """Return what the page shows; None where there was no gate."""
    if not (folder / GATE_FILE).is_file():
        return None
    verdict = Verdict.load(folder / GATE_FILE)
    learnt = verdict.expected_dice.calibration if verdict.expected_dice else None
    return GateSummary(
        sentence=verdict.gate.sentence(),
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
    return {"gate": {**verdict.gate.to_json(), "calibration": learnt.summary() if learnt else None}}
