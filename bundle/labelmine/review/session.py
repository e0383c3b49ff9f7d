"""A review as the page drives it: cases, the teacher that corrects, and what is decided; no word of HTTP here."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from labelmine.errors import DataError
from labelmine.exchange.decisions import Decision, DecisionLog, Verdict, mask_dice
from labelmine.review.cases import Cases
from labelmine.review.correcting import Answer, Corrector
from labelmine.review.steps import kept_steps

Layer = Literal["label", "student", "gold", "decided"]
LAYERS: tuple[Layer, ...] = get_args(Layer)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
#: Longest name of a reviewer.
LONGEST_NAME = 40
#: Seconds after which someone was not looking any more.
LONGEST_LOOK = 600.0


class ConflictError(DataError):
    """The page that decided had not seen the latest decision, or another label."""


class ReviewSession:
    """What a reviewer sees and does; safe to use from several threads.

    Args:
        cases: The labels in their order.
        log: Where decisions go.
        corrector: Answers to clicks and boxes; None: the run has no teacher that can be asked.
    """

    def __init__(self, cases: Cases, log: DecisionLog, corrector: Corrector | None) -> None:
        """Keep the parts."""
        self.cases = cases
        self.log = log
        self.corrector = corrector
        self._lock = threading.Lock()

    def overview(self, reviewer: str) -> dict[str, Any]:
        """Return what the page needs once: classes, all cases in their order, and what the reviewer said of them."""
        return {
            "classes": list(self.cases.images.classes.names),
            "teacher": self.corrector.teacher.name if self.corrector else "",
            "cases": [self.cases.summary(place) for place in range(len(self.cases))],
            "exclusive": self.cases.predictor.student.exclusive,
            "decided": self._verdicts(reviewer),
            **self.progress(reviewer),
        }

    def case(self, place: int, reviewer: str) -> dict[str, Any]:
        """Return what is known of a case, and how its picture is to be shown."""
        picture, label = self.cases.picture(place), self.cases.label(place)
        return {
            **self.cases.summary(place),
            "height": label.shape[1],
            "width": label.shape[2],
            "deep": picture.deep,
            "low": picture.low,
            "high": picture.high,
            "prompts": self.cases.prompts(place),
            "label_sha256": self.cases.label_sha256(place),
            "seen": self._count(place, reviewer),
            "decided": self._verdict(place, reviewer),
        }

    def layer(self, place: int, layer: Layer, reviewer: str) -> NDArray[np.bool_] | None:
        """Return a mask (K, H, W) of a case; None where there is none of the kind."""
        if layer == "label":
            return self.cases.label(place)
        if layer == "student":
            return self.cases.student(place)
        if layer == "gold":
            return self.cases.gold(place)
        decision = self._standing(place, reviewer)
        return self.log.mask(decision) if decision is not None and decision.mask_sha256 else None

    def prepare(self, place: int) -> None:
        """Have the teacher look at a case, so that the first click is answered at once."""
        if self.corrector is not None:
            self.corrector.prepare(self.cases[place].item, self.cases[place].record)

    def ask(self, place: int, prompt: Mapping[str, Any]) -> Answer:
        """Ask the teacher about one object; see ``Corrector.ask``.

        Raises:
            DataError: No teacher, or a prompt that cannot be asked.
        """
        if self.corrector is None:
            raise DataError("this run has no teacher that could be asked; use brush and eraser")
        return self.corrector.ask(self.cases[place].item, self.cases[place].record, prompt)

    def decide(self, place: int, said: Mapping[str, Any], mask: NDArray[np.bool_] | None = None) -> Decision:
        """Keep a decision.

        Args:
            place: Of the case.
            said: ``reviewer``, ``verdict``, ``seconds``, ``prompts``, ``tools``, ``steps``; and what the page had seen:
                ``label_sha256`` and ``seen``, the number of decisions of the reviewer on this case.
            mask: (K, H, W) where it is ``corrected``.

        Raises:
            DataError: What is no decision.
            ConflictError: Another window of the same reviewer decided in between, or the label is not the one seen.
        """
        case, label = self.cases[place], self.cases.label(place)
        verdict, reviewer = said.get("verdict"), reviewer_name(said.get("reviewer"))
        if verdict not in VERDICTS:
            raise DataError(f"verdict: expected one of {', '.join(VERDICTS)}, got {str(verdict)[:40]!r}")
        if (mask is not None) != (verdict == "corrected"):
            raise DataError("mask: expected with 'corrected', and with no other verdict")
        if said.get("label_sha256") != self.cases.label_sha256(place):
            raise ConflictError("the label is another one now; load the page again")
        kept = label if verdict == "accepted" else mask
        decision = Decision(
            id=case.item["id"],
            reviewer=reviewer,
            verdict=verdict,
            when=datetime.now(UTC).isoformat(timespec="milliseconds"),
            seconds=round(_seconds(said.get("seconds")), 2),
            label_sha256=str(said["label_sha256"]),
            prompts=_prompts(said.get("prompts")),
            tools=_counts(said.get("tools")),
            steps=kept_steps(said.get("steps")) if verdict == "corrected" else [],
            begun_from=self._begun_from(place, reviewer) if verdict == "corrected" else "",
            teacher=self.corrector.source if self.corrector and said.get("prompts") else {},
            expected_dice=round(1 - case.gain, 6),
            used=bool(case.record["accepted"]),
            dice=None if kept is None else round(mask_dice(label, kept), 6),
        )
        with self._lock:
            if said.get("seen") != self._count(place, reviewer):
                raise ConflictError("decided in another window of yours meanwhile; that decision stands")
            return self.log.append(decision, kept)

    def progress(self, reviewer: str) -> dict[str, Any]:
        """Return how far a reviewer is, how fast, and how far reviewers agree."""
        standing = self.log.standing()
        every = [standing.get(case.item["id"], {}) for case in self.cases.cases]
        own = [of_image[reviewer] for of_image in every if reviewer in of_image]
        agreement = self.log.agreement()
        return {
            "counts": dict(Counter(decision.verdict for decision in own)),
            "by_anyone": sum(bool(of_image) for of_image in every),
            "seconds": float(np.median([decision.seconds for decision in own])) if own else None,
            "agreement": {"n": agreement.n, "same": agreement.same, "dice": agreement.dice},
        }

    def _standing(self, place: int, reviewer: str) -> Decision | None:
        return self.log.standing().get(self.cases[place].item["id"], {}).get(reviewer)

    def _begun_from(self, place: int, reviewer: str) -> str:
        """Return the hash of the correction that the page showed when it was opened; ``seen`` says that it stands."""
        decision = self._standing(place, reviewer)
        return decision.mask_sha256 if decision is not None and decision.verdict == "corrected" else ""

    def _verdict(self, place: int, reviewer: str) -> str:
        decision = self._standing(place, reviewer)
        return "" if decision is None else decision.verdict

    def _verdicts(self, reviewer: str) -> list[str]:
        standing = self.log.standing()
        own = [standing.get(case.item["id"], {}).get(reviewer) for case in self.cases.cases]
        return [decision.verdict if decision else "" for decision in own]

    def _count(self, place: int, reviewer: str) -> int:
        image = self.cases[place].item["id"]
        return sum(one.id == image and one.reviewer == reviewer for one in self.log.decisions)


def reviewer_name(text: Any) -> str:
    """Return a reviewer's name as it is kept: printable, short, ``reviewer`` where none is given."""
    plain = "".join(sign for sign in str(text or "") if sign.isprintable()).strip()
    return plain[:LONGEST_NAME] or "reviewer"


def _seconds(value: Any) -> float:
    number = float(value) if isinstance(value, int | float) else 0.0
    return min(max(number, 0.0), LONGEST_LOOK) if math.isfinite(number) else 0.0


def _prompts(value: Any) -> list[dict[str, Any]]:
    """Return rows of prompts with the keys that a manifest has."""
    if not isinstance(value, list) or len(value) > 1000:
        return []
    keys = ("class", "box", "points", "point_labels")
    return [{key: row[key] for key in keys if row.get(key) not in (None, [])} for row in value if isinstance(row, dict)]


def _counts(value: Any) -> dict[str, int]:
    rows = value.items() if isinstance(value, dict) else ()
    return {str(name)[:20]: int(count) for name, count in list(rows)[:20] if isinstance(count, int)}
