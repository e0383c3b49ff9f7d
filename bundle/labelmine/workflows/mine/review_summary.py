"""After a review: what it brought, in figures for ``metrics.json`` and in sentences for the log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelmine.exchange.decisions import SAME_DICE, Decision, DecisionLog, decided_in
from labelmine.quality import Verdict
from labelmine.run.files import GATE_FILE, METRICS_FILE, SPLIT_FILE


def review_figures(corrections: str | None, folder: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part ``review`` of ``metrics.json``; nothing where no review in the browser was taken.

    Args:
        corrections: The review folder; its parent is the run that was reviewed.
        folder: Of this run.
        metrics: What this run's ``metrics.json`` says of its students, see ``figures_of``.
    """
    reviewed = Path(corrections).expanduser() if corrections else None
    decisions = decided_in(reviewed) if reviewed else []
    if reviewed is None or not decisions:
        return {}
    before = reviewed.parent
    agreement = DecisionLog(reviewed).agreement()
    return {
        "review": {
            **_counts(decisions),
            "reviewers_agree": {"n": agreement.n, "same": agreement.same, "dice": agreement.dice},
            "calibration_error": _pair(_calibration_error(before), _calibration_error(folder)),
            "student_dice": _pair(_student_before(before, folder), _kept_dice(metrics)),
        }
    }


def review_sentences(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``review_figures`` found in words; nothing where there was no review."""
    found = figures.get("review")
    if not found:
        return
    yield (
        f"review: {found['accepted']} labels were accepted, {found['corrected']} corrected, {found['rejected']} "
        f"rejected, in {found['minutes']:.0f} minutes"
    )
    yield (
        f"review: {found['right_though_doubted']} of {found['doubted']} labels that the run had left out were right; "
        f"{found['wrong_though_used']} of {found['used']} that it had trained with were rejected, or had a Dice below "
        f"{SAME_DICE:g}"
    )
    if found["measured_dice"] is not None:
        yield (
            f"review: those with a mask had an expected Dice of {found['expected_dice']:.3f}, and "
            f"{found['measured_dice']:.3f} by the reviewer's"
        )
    compared = {"calibration_error": "error of the expected Dice on held-out gold", "student_dice": "test Dice"}
    for name, words in compared.items():
        pair = found[name]
        if pair:
            yield f"review: {words} {pair['before']:.3f} before the review, {pair['after']:.3f} now"


def _counts(decisions: Sequence[Decision]) -> dict[str, Any]:
    verdicts = Counter(decision.verdict for decision in decisions)
    used = [decision for decision in decisions if decision.used]
    doubted = [decision for decision in decisions if not decision.used]
    drawn = [decision for decision in decisions if decision.dice is not None]
    return {
        **{name: verdicts[name] for name in ("accepted", "corrected", "rejected")},
        "minutes": round(sum(decision.seconds for decision in decisions) / 60, 1),
        "doubted": len(doubted),
        "right_though_doubted": sum(map(_is_right, doubted)),
        "used": len(used),
        "wrong_though_used": sum(not _is_right(decision) for decision in used),
        "expected_dice": float(np.mean([decision.expected_dice for decision in drawn])) if drawn else None,
        "measured_dice": float(np.mean([decision.dice or 0.0 for decision in drawn])) if drawn else None,
    }


def _is_right(decision: Decision) -> bool:
    return decision.dice is not None and decision.dice >= SAME_DICE


def _pair(before: float | None, after: float | None) -> dict[str, float] | None:
    return None if before is None or after is None else {"before": round(before, 4), "after": round(after, 4)}


def _calibration_error(folder: Path) -> float | None:
    if not (folder / GATE_FILE).is_file():
        return None
    learnt = Verdict.load(folder / GATE_FILE).expected_dice
    return learnt.calibration.error if learnt is not None and learnt.calibration is not None else None


def _student_before(before: Path, folder: Path) -> float | None:
    """Return the test Dice of the student of the reviewed run, where it was examined on the same images."""
    paths = [before / METRICS_FILE, before / SPLIT_FILE, folder / SPLIT_FILE]
    if not all(path.is_file() for path in paths):
        return None
    metrics, split, own = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    return _kept_dice(metrics) if split.get("test") == own.get("test") else None


def _kept_dice(metrics: Mapping[str, Any]) -> float | None:
    """Return the test Dice of the student that a run kept."""
    dice = metrics.get(metrics.get("kept", ""), {}).get("dice", {})
    return None if dice.get("mean") is None else float(dice["mean"])
