"""What reviewers decided, made again from the journal: how each label came out, and whether it comes out again."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelmine.data import encode_png
from labelmine.errors import DataError
from labelmine.evaluation import write_table
from labelmine.exchange.decisions import Decision, DecisionLog
from labelmine.review import Corrector
from labelmine.review.steps import by_hand, redrawn
from labelmine.workflows.replay.outcomes import DIFFERENT, EQUAL, NOT_REPLAYABLE, OUTCOMES
from labelmine.workflows.replay.recorded_run import RecordedRun

logger = logging.getLogger(__name__)

DECISIONS_TABLE = "replay_decisions.csv"
COLUMNS = ("id", "reviewer", "when", "seconds", "verdict", "how", "outcome", "pixels", "reason")


class DecisionReplay:
    """Take the steps of each standing decision again, and compare with the mask that it left.

    Of an accepted and of a rejected label, that is whether the label still is the one that was looked at. A correction
    by clicks, boxes, smoothing, filling and clearing is made again and compared pixel by pixel. Strokes of brush and
    eraser are not kept: of a mask that has some, only that it is unchanged is known, and it counts as not replayable.

    Args:
        run: The run.
        folder: Its review folder.
        corrector: The teacher that answered; None: the run had none.
        ids: Images to replay; None: all.
    """

    def __init__(
        self, run: RecordedRun, folder: Path, corrector: Corrector | None, ids: Sequence[str] | str | None = None
    ) -> None:
        """Read the journal."""
        self.run = run
        self.corrector = corrector
        self.log = DecisionLog(folder, run.store.classes)
        self.records = {record["id"]: record for record in run.store.records()}
        wanted = None if ids is None else {ids} if isinstance(ids, str) else set(ids)
        every = [decision for of_image in self.log.standing().values() for decision in of_image.values()]
        self.decisions = [one for one in every if wanted is None or one.id in wanted]

    def __call__(self, folder: Path) -> pd.DataFrame:
        """Replay, write ``replay_decisions.csv`` into a folder, and return it: a row per reviewer and image."""
        rows = [self._row(decision) for decision in self.decisions]
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_table(folder / DECISIONS_TABLE, table)
        counts = Counter(table["outcome"])
        told = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES)
        logger.info("replayed %d decisions of reviewers: %s", len(table), told)
        unsaid = Counter(table.loc[table["outcome"] == NOT_REPLAYABLE, "reason"])
        for reason, count in unsaid.items():
            logger.warning("%d decisions were not replayed: %s", count, reason)
        return table

    def _row(self, decision: Decision) -> dict[str, Any]:
        try:
            outcome, pixels, reason = self._replayed(decision)
        except DataError as error:
            outcome, pixels, reason = DIFFERENT, None, str(error)
        facts = {name: getattr(decision, name) for name in ("id", "reviewer", "when", "seconds", "verdict")}
        return {**facts, "how": _how(decision), "outcome": outcome, "pixels": pixels, "reason": reason}

    def _replayed(self, decision: Decision) -> tuple[str, int | None, str]:
        """Return the outcome, the pixels that differ, and why."""
        if decision.id not in self.run.items or decision.id not in self.records:
            return NOT_REPLAYABLE, None, "its image or its label is not there"
        label = np.asarray(self.run.store.read(self.run.items[decision.id])[0] > 0)
        if hashlib.sha256(encode_png(self.run.store.classes.decode(label))).hexdigest() != decision.label_sha256:
            return DIFFERENT, None, "the label is not the one that was looked at"
        if decision.verdict == "rejected":
            return EQUAL, 0, ""
        kept = self.log.mask(decision)  # refuses a file that was changed
        if decision.verdict == "accepted":
            return _compared(label, kept)
        if reason := self._obstacle(decision):
            return NOT_REPLAYABLE, None, reason
        return _compared(self._again(decision, label), kept)

    def _obstacle(self, decision: Decision) -> str:
        """Say why a correction cannot be made again; nothing: it can."""
        if by_hand(decision.steps):
            return "brush or eraser: their strokes are not kept, only the mask, which is unchanged"
        if not decision.steps and not decision.begun_from:
            return "its steps are not on record"
        asked = any(step["tool"] in ("box", "click") for step in decision.steps)
        if asked and (self.corrector is None or dict(decision.teacher) != self.corrector.source):
            return f"another teacher answered: {decision.teacher.get('teacher', 'unknown')}"
        return ""

    def _again(self, decision: Decision, label: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if decision.begun_from:
            earlier = (one for one in self.log.decisions if one.mask_sha256 == decision.begun_from)
            label = self.log.mask(next(earlier))

        def ask(prompt: Mapping[str, Any]) -> NDArray[np.bool_]:
            if self.corrector is None:  # such corrections were set aside as not replayable
                raise DataError(f"{decision.id}: no teacher to ask again")
            return self.corrector.ask(self.run.items[decision.id], self.records[decision.id], prompt).mask

        return redrawn(label, decision.steps, ask, self.run.exclusive)


def _compared(mask: NDArray[np.bool_], kept: NDArray[np.bool_]) -> tuple[str, int, str]:
    pixels = int((mask != kept).any(axis=0).sum())
    return (DIFFERENT, pixels, f"{pixels} pixels differ") if pixels else (EQUAL, 0, "")


def _how(decision: Decision) -> str:
    """Say by which steps a correction came out: ``box, click x 2, brush``."""
    used = Counter(step["tool"] for step in decision.steps)
    return ", ".join(name if count == 1 else f"{name} x {count}" for name, count in used.items())
