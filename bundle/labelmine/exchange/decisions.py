"""What reviewers decided about pseudo labels: one line each, appended as it happens and never changed.

A review folder holds ``decisions.jsonl``, ``classes.json`` and ``masks/<sha256>.png``, the masks that were accepted or
corrected (class values as in any mask of the set). A mask is written first and then named by its line, so whatever a
line names is there; a server killed at any moment loses nothing that was decided.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelmine.atomic import write_whole
from labelmine.data.classes import ClassMap
from labelmine.data.png import encode_png
from labelmine.data.stored_masks import read_mask
from labelmine.errors import DataError
from labelmine.evaluation import dice_iou
from labelmine.journal import Journal, read_journal

logger = logging.getLogger(__name__)

DECISIONS_FILE, CLASSES_FILE, MASKS_FOLDER = "decisions.jsonl", "classes.json", "masks"
Verdict = Literal["accepted", "corrected", "rejected", "undone"]
#: From this Dice on two masks say the same; what two readers of one lesion reach (our choice).
SAME_DICE = 0.9


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One reviewer's word on one label.

    Attributes:
        id: The image.
        reviewer: Who.
        verdict: ``accepted`` as it is, ``corrected``, ``rejected`` (wrong, and not put right), or ``undone``: what the
            reviewer said before no longer counts.
        when: ISO 8601, UTC.
        seconds: Time it took.
        label_sha256: Hash of the pseudo label that was looked at, as PNG of class values.
        mask_sha256: Hash of the accepted or corrected mask, and its name; empty for the other verdicts.
        prompts: What the teacher was asked for the correction, as in the manifest, in pixels of the image.
        tools: How often each tool was used, for example ``{"click": 2, "brush": 1}``.
        steps: How the mask came out, in order, see ``labelmine.review.steps``; of brush and eraser only that they were
            used, as their strokes are not kept.
        begun_from: Hash of the reviewer's earlier correction that the steps go on from; empty: from the label.
        teacher: Who answered: ``teacher``, ``teacher_sha256``, and ``decoder_sha256`` where gold fitted it.
        expected_dice: Of the label, in [0, 1].
        used: Whether the run had let the label train its student.
        dice: Dice of the label and the accepted or corrected mask, mean over classes; None for the other verdicts.
    """

    id: str
    reviewer: str
    verdict: Verdict
    when: str
    seconds: float
    label_sha256: str
    mask_sha256: str = ""
    prompts: Sequence[Mapping[str, Any]] = ()
    tools: Mapping[str, int] = field(default_factory=dict)
    steps: Sequence[Mapping[str, Any]] = ()
    begun_from: str = ""
    teacher: Mapping[str, str] = field(default_factory=dict)
    expected_dice: float = 0.0
    used: bool = False
    dice: float | None = None


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on images that both saw.

    Attributes:
        n: Pairs of decisions on one image.
        same: Pairs that say the same: both rejected, or masks of a Dice of ``SAME_DICE`` and more.
        dice: Mean Dice of the pairs in which both gave a mask; None without any.
    """

    n: int
    same: int
    dice: float | None


class DecisionLog:
    """The decisions of a review folder; several threads may append.

    Args:
        folder: The review folder; made where missing.
        classes: Classes of the labels; None: as the folder says.

    Raises:
        DataError: The folder is of other classes, or its files are damaged.
    """

    def __init__(self, folder: str | Path, classes: ClassMap | None = None) -> None:
        """Read what has been decided."""
        self.folder = Path(folder).expanduser()
        self.path = self.folder / DECISIONS_FILE
        self.classes = self._classes(classes)
        self._lock = threading.Lock()
        self._dice: dict[tuple[str, str], float] = {}
        self._decisions = _read(self.path)

    def append(self, decision: Decision, mask: NDArray[np.bool_] | None = None) -> Decision:
        """Keep a decision; return it with the hash of its mask.

        Args:
            decision: Whose ``mask_sha256`` is filled in here.
            mask: (K, H, W) accepted or corrected; None for the other verdicts.
        """
        sha256 = ""
        if mask is not None:
            content = encode_png(self.classes.decode(mask))
            sha256 = hashlib.sha256(content).hexdigest()
            if not self.mask_path(sha256).is_file():
                write_whole(self.mask_path(sha256), content)
        kept = Decision(**{**asdict(decision), "mask_sha256": sha256})
        with self._lock:
            self._journal.append(asdict(kept))
            self._decisions.append(kept)
        return kept

    def mask_path(self, sha256: str) -> Path:
        """Return the file of a mask."""
        return self.folder / MASKS_FOLDER / f"{sha256}.png"

    def mask(self, decision: Decision) -> NDArray[np.bool_]:
        """Return the accepted or corrected mask (K, H, W).

        Raises:
            DataError: The decision has none, or its file was removed or changed.
        """
        path = self.mask_path(decision.mask_sha256)
        if not decision.mask_sha256 or not path.is_file():
            raise DataError(f"{decision.id}: no mask of this decision in {self.folder.name}/{MASKS_FOLDER}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != decision.mask_sha256:
            raise DataError(f"{decision.id}: {path.name} was changed since it was decided; copy it again")
        return self.classes.encode(read_mask(path, color=self.classes.is_color)) > 0

    @cached_property
    def _journal(self) -> Journal:
        """Opened by whoever decides: to open it cuts off a torn line, which is no reader's business."""
        return Journal(self.path, durable=True)

    @property
    def decisions(self) -> list[Decision]:
        """All lines, in the order they were written."""
        with self._lock:
            return list(self._decisions)

    def standing(self) -> dict[str, dict[str, Decision]]:
        """Return what each reviewer says now, by image and reviewer; the latest word last."""
        found: dict[str, dict[str, Decision]] = {}
        for decision in self.decisions:
            of_image = found.setdefault(decision.id, {})
            of_image.pop(decision.reviewer, None)
            if decision.verdict != "undone":
                of_image[decision.reviewer] = decision
        return {name: of_image for name, of_image in found.items() if of_image}

    def final(self) -> dict[str, Decision]:
        """Return the word that counts, by image: the latest of any reviewer."""
        return {name: list(of_image.values())[-1] for name, of_image in self.standing().items()}

    def agreement(self) -> Agreement:
        """Compare reviewers wherever two of them decided on one image."""
        pairs = [pair for of_image in self.standing().values() for pair in combinations(of_image.values(), 2)]
        dice = [self._dice_of(a, b) for a, b in pairs if a.mask_sha256 and b.mask_sha256]
        same = sum(value >= SAME_DICE for value in dice)
        same += sum(a.verdict == b.verdict == "rejected" for a, b in pairs)
        return Agreement(len(pairs), same, float(np.mean(dice)) if dice else None)

    def _dice_of(self, a: Decision, b: Decision) -> float:
        """Return the Dice of two decided masks, which never change."""
        key = (a.mask_sha256, b.mask_sha256)
        if key not in self._dice:
            self._dice[key] = 1.0 if key[0] == key[1] else mask_dice(self.mask(a), self.mask(b))
        return self._dice[key]

    def _classes(self, given: ClassMap | None) -> ClassMap:
        path = self.folder / CLASSES_FILE
        if not path.is_file():
            if given is None:
                raise DataError(f"{self.folder.name}: holds no {CLASSES_FILE}; give the review folder of a run")
            write_whole(path, json.dumps(given.as_json()).encode())
            return given
        try:
            known = ClassMap.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.folder.name}/{CLASSES_FILE}: damaged ({error!r})") from error
        if given is not None and (known.names, known.values) != (given.names, given.values):
            raise DataError(
                f"{self.folder.name}: holds a review of the classes {known.names}, expected {given.names}. Move the "
                "folder away to begin anew"
            )
        return known


def mask_dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the Dice of two masks (K, H, W), mean over classes; see ``dice_iou``."""
    return float(dice_iou(a, b)[0].mean())


def decided_in(folder: Path) -> list[Decision]:
    """Return the words that count in a review folder; nothing for a folder of another kind."""
    return list(DecisionLog(folder).final().values()) if (folder / DECISIONS_FILE).is_file() else []


def rejected_ids(decisions: Iterable[Decision]) -> frozenset[str]:
    """Return the images whose label was rejected."""
    return frozenset(decision.id for decision in decisions if decision.verdict == "rejected")


def _read(path: Path) -> list[Decision]:
    known = {one.name for one in fields(Decision)}
    found = []
    for row in read_journal(path):
        try:
            found.append(Decision(**{key: value for key, value in row.items() if key in known}))
        except TypeError:
            logger.warning("%s: a line is no decision; its image is asked again", path.name)
    return found
