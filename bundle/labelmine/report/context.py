"""What a report is made of; all but the data set's name is optional, and the page leaves out what is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from labelmine.data.findings import Finding
from labelmine.evaluation.case import Case

#: One row of a learning curve: ``epoch`` and any of ``train_loss`` and ``val_dice``.
Epoch = Mapping[str, float]


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
        findings: What was assumed while the images were read.
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
    findings: Sequence[Finding] = ()
    quarantined: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    test_cases: Sequence[Case] = ()
    pseudo_cases: Sequence[Case] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
