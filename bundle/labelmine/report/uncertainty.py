"""The page of a prediction with uncertainty: which masks to look at first, and where in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmine.evaluation.case import Case
from labelmine.evaluation.wording import count, number
from labelmine.report import overlays
from labelmine.report.page import CasePictures, Cases, Fold, Notes, Page, Pairs, Section, Table, Text
from labelmine.report.pictures import case_keys, embed
from labelmine.report.redaction import without_folders
from labelmine.report.rendering import write_page
from labelmine.report.run_tables import config_rows, second_rows

LISTED = 50  # rows of the table
LOW = 0.8  # expected Dice below which the page counts an image as doubtful


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A mask and where it may be wrong.

    Attributes:
        case: Image, and the mask as its only prediction.
        wrong: (H, W) in [0, 1], the chance that the mask is wrong at a pixel.
    """

    case: Case
    wrong: NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class UncertaintyReport:
    """What the page shows.

    Attributes:
        dataset: Name of the image set.
        expected_dice: Of each image, by id.
        shown: Those to be looked at first, least sure first.
        calibration: How probabilities were calibrated, one sentence.
        calibrated: Whether they were.
        seconds: Duration by stage.
        settings: The knobs.
    """

    dataset: str
    expected_dice: Mapping[str, float]
    shown: Sequence[Doubt] = ()
    calibration: str = ""
    calibrated: bool = True
    seconds: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def write_uncertainty_page(report: UncertaintyReport, target: Path) -> Path:
    """Write the page; return its path."""
    return write_page(uncertainty_page(report), target)


def uncertainty_page(report: UncertaintyReport) -> Page:
    """Return the page, the images that are least sure first."""
    dataset = without_folders(report.dataset)
    ranked = sorted(report.expected_dice.items(), key=lambda pair: (pair[1], pair[0]))
    low = sum(dice < LOW for _, dice in ranked)
    answer = f"{low} of {count(len(ranked), 'mask')} may expect a Dice below {LOW}; the least sure are shown first."
    settings = Pairs("Folders are cut from paths", config_rows(report.settings), words=True)
    return Page(
        title="Where is the student unsure?",
        window_title=f"Uncertainty: {dataset}",
        about=f"Image set {dataset}.",
        lead=[
            Text([answer]),
            Notes([] if report.calibrated else [report.calibration]),
            Text([report.calibration] if report.calibrated else [], "soft"),
        ],
        sections=[
            Section(
                "Look at them", [Text(_HOW_TO_READ, "soft"), Cases(list(map(_pictures, report.shown)), case_keys())]
            ),
            Section("All masks, least sure first", [_table(ranked)]),
            Section(
                "How it was made",
                [Pairs("Time by stage", second_rows(report.seconds)), Fold("All settings", [settings])],
            ),
        ],
    )


_HOW_TO_READ = (
    "Left: the image with the mask. Right: the chance that the mask is wrong at a pixel, from black (none) over red to "
    "white (one half or more). A bright rim is an edge that might lie elsewhere; a bright patch away from the mask may "
    "be a lesion that was missed, and a mask that is bright all over may be none.",
)


def _pictures(doubt: Doubt) -> CasePictures:
    case = doubt.case
    (name,) = case.predictions
    panels = [
        embed(overlays.overlay(case, name), "webp", f"{case.id}: the mask (dashed)", "mask"),
        embed(
            overlays.heat(case, name, doubt.wrong), "webp", f"{case.id}: where it may be wrong", "chance of being wrong"
        ),
    ]
    return CasePictures(case.id, case.caption, panels)


def _table(ranked: Sequence[tuple[str, float]]) -> Table:
    more = len(ranked) - LISTED
    caption = "Expected Dice" + (f"; {more} more, surer ones, are in manifest.csv" if more > 0 else "")
    return Table(caption, ("image", "expected Dice"), [(name, number(dice)) for name, dice in ranked[:LISTED]])
