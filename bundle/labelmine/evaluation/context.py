"""What a report is made of; all but the data set's name is optional, and the page leaves out what is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labelmine.errors import DataError

#: One row of a learning curve: ``epoch`` and any of ``train_loss`` and ``val_dice``.
Epoch = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image with the outlines that a reader should compare.

    Attributes:
        id: The item's id, printed above the pictures.
        image: (H, W, 3) float in [0, 1], at the size of the masks.
        gold: (K, H, W) or (H, W) bool; None where there is no gold.
        predictions: Who drew (``supervised``, ``mined``, ``student``, ``teacher`` ...) and the mask, shaped as `gold`;
            one picture each, in this order.
        boxes: (N, 4) prompts x0, y0, x1, y1 in pixels of `image`, exclusive ends.
        points: (N, 2) prompts (x, y) in pixels of `image`.
        point_labels: (N,) 1 positive, 0 negative, -1 padding (not drawn); all positive when absent.
        dice: Dice of each prediction against gold, by the names in `predictions`, where known.
        caption: Why this case is shown, e.g. ``median`` or ``rejected: teacher and student disagree``.
    """

    id: str
    image: npt.NDArray[np.floating[Any]]
    gold: npt.NDArray[np.bool_] | None = None
    predictions: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    boxes: npt.NDArray[np.floating[Any]] | None = None
    points: npt.NDArray[np.floating[Any]] | None = None
    point_labels: npt.NDArray[np.integer[Any]] | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse masks that would be drawn in the wrong place."""
        if self.image.ndim != 3 or self.image.shape[2] != 3:
            raise DataError(f"case {self.id!r}: expected an image (H, W, 3), got {self.image.shape}")
        masks = dict(self.predictions) | ({} if self.gold is None else {"gold": self.gold})
        for name, mask in masks.items():
            if mask.shape[-2:] != self.image.shape[:2]:
                expected, got = self.image.shape[:2], mask.shape[-2:]
                raise DataError(f"case {self.id!r}: expected the {name} mask at the image's {expected}, got {got}")

    @property
    def has_prompts(self) -> bool:
        """Whether there is a box or a point to draw."""
        return any(prompts is not None and len(prompts) > 0 for prompts in (self.boxes, self.points))


@dataclass(frozen=True, kw_only=True)
class PseudoLabelSummary:
    """What became of the unlabelled images.

    Attributes:
        accepted: How many pseudo labels train the mined student.
        rejected: How many were set aside.
        reasons: Why, with counts.
        dice: `statistics` of accepted pseudo labels against dropped gold, where gold is known.
        student_dice: The same for the student's own masks on the same images.
        source: Labeler and teacher in words, e.g. ``prompted by boxes, teacher compact``.
    """

    accepted: int
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    dice: Mapping[str, Any] | None = None
    student_dice: Mapping[str, Any] | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class GateSummary:
    """What held-out gold said about the labeler before anything was labelled.

    Attributes:
        sentence: The decision in words.
        rows: ``class``, ``size``, ``n``, the mean Dice of ``student``, ``labeler`` and ``blend``, and ``choice``.
        reliability: ``expected`` and ``observed`` mean Dice and ``n`` of each bin of labels; None: not calibrated.
        error: Expected calibration error, out of fold.
        n: Labels of gold images that it was measured on.
    """

    sentence: str
    rows: Sequence[Mapping[str, Any]] = ()
    reliability: pd.DataFrame | None = None
    error: float = float("nan")
    n: int = 0


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """Everything the page shows.

    Attributes:
        dataset: Name of the image set.
        seed: The run's seed; the bootstrap uses it too.
        title: Heading of the page.
        tables: Per-image rows of `evaluate_masks` by student: ``supervised``, ``mined``, or one name of any kind.
        kept: The student that was kept, a key of `tables`.
        kept_reason: Why, e.g. ``higher Dice on gold validation: 0.71 against 0.68``.
        histories: Learning curves by student.
        label_history: Quality of pseudo labels by epoch, where they were made during training: ``epoch``, ``accepted``,
            ``score`` and, where gold is known, ``dice``; NaN where nothing was labelled.
        pseudo_labels: Counts and quality; None where nothing was mined.
        gate: Why pseudo labels were made as they were; None where the labeler was not examined.
        counts: What the data held, in reading order: ``{"gold, training": 72, ...}`` or `ImageSet.summary`.
        quarantined: ``(file, reason)`` of every file set aside.
        warnings: Sentences a reader must see before trusting a figure.
        test_cases: Usually best, median and worst.
        pseudo_cases: Examples of accepted and rejected pseudo labels.
        seconds: Duration by stage, in seconds.
        command: How the run was started; folders are cut from it before printing.
        config: The knobs; folders are cut from the values before printing.
    """

    dataset: str
    seed: int
    title: str = "Segmentation report"
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    kept: str | None = None
    kept_reason: str = ""
    histories: Mapping[str, Sequence[Epoch]] = field(default_factory=dict)
    label_history: Sequence[Epoch] = ()
    pseudo_labels: PseudoLabelSummary | None = None
    gate: GateSummary | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    quarantined: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    test_cases: Sequence[Case] = ()
    pseudo_cases: Sequence[Case] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
