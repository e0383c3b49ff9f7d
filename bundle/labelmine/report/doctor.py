"""The doctor's page: what was understood of an image set, what is odd about it, and whether it can be mined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelmine.data.duplicates import Pair
from labelmine.data.findings import Finding
from labelmine.data.set_aside import Reason
from labelmine.evaluation.image_facts import ImageFacts
from labelmine.evaluation.wording import count
from labelmine.report import doctor_tables as tables
from labelmine.report.doctor_tables import MiningCosts, WeightsVerdict
from labelmine.report.finding_pairs import finding_pairs
from labelmine.report.glossary import glossary_section
from labelmine.report.page import Columns, Fold, Key, Notes, Page, Pairs, Picture, Section, Sheet, Text
from labelmine.report.redaction import without_folders
from labelmine.report.rendering import write_page
from labelmine.report.run_tables import config_rows


@dataclass(frozen=True, kw_only=True)
class DoctorReport:
    """What the page shows; it leaves out what is absent.

    Attributes:
        dataset: Name of the image set.
        seed: Of all draws.
        problem: Why ``mine`` would stop, and how to mend it; empty where it would not.
        lines: The short text.
        n_images: Images in use, of which ``facts`` may be a part.
        facts: What images and masks are like.
        files: Files of the folder by place and format, where its images could not be told.
        findings: What was assumed.
        classes: Names of the classes; empty where they are not known.
        pictures: Thumbnails with outlines, see ``thumbnails``.
        keys: Their legend.
        pairs: Near-duplicates; None where they were not looked for.
        reasons: What was set aside, and what is not used.
        weights: Teachers that might be used.
        costs: What mining will need; None: not measured.
        settings: The knobs.
    """

    dataset: str
    seed: int
    problem: str = ""
    lines: Sequence[str] = ()
    n_images: int = 0
    facts: Sequence[ImageFacts] = ()
    files: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    classes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    keys: Sequence[Key] = ()
    pairs: Sequence[Pair] | None = None
    reasons: Sequence[Reason] = ()
    weights: Sequence[WeightsVerdict] = ()
    costs: MiningCosts | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def write_doctor_page(report: DoctorReport, target: Path) -> Path:
    """Write the page; return its path."""
    return write_page(doctor_page(report), target)


def doctor_page(report: DoctorReport) -> Page:
    """Return the page, its answer first."""
    dataset = without_folders(report.dataset)
    answer = "Not yet: labelmine mine would stop here." if report.problem else "Yes, this image set can be mined."
    return Page(
        title="Can this image set be mined?",
        window_title=f"Doctor: {dataset}",
        about=f"Image set {dataset}, seed {report.seed}. Nothing was trained.",
        lead=[
            Text([answer]),
            Notes([report.problem] if report.problem else [], label="Why, and how to go on", grave=True),
            Text(report.lines, "list"),
        ],
        sections=[
            Section("How it was understood", [finding_pairs(report.findings)]),
            _images(report),
            _overlays(report),
            _masks(report),
            _duplicates(report),
            Section("Set aside, and not used", tables.reason_pairs(report.reasons)),
            _weights(report),
            _costs(report),
            _settings(report),
            glossary_section("gold", "mining"),
        ],
    )


def _images(report: DoctorReport) -> Section:
    part = f"Of {report.n_images} images {len(report.facts)} were looked at, drawn at random."
    parts = [
        Text([part] if 0 < len(report.facts) < report.n_images else [], "soft"),
        Columns(tables.image_tables(report.facts) if report.facts else []),
        tables.counted("Files found, by folder and format", report.files, "where", "files") if report.files else None,
    ]
    return Section("Images", parts)


def _overlays(report: DoctorReport) -> Section:
    if not report.pictures:
        return Section("Look at them", [])
    lines = ["What is odd comes first, with the reason below; then some at random."]
    if not report.classes:
        lines.append("Classes are not known yet: any value above 0 is outlined.")
    return Section("Look at them", [Text(lines, "soft"), Sheet(report.pictures, report.keys)])


def _masks(report: DoctorReport) -> Section:
    if not report.classes:
        return Section("Classes and lesions", [])
    parts = [tables.class_table(report.facts, report.classes), tables.lesion_table(report.facts, report.classes)]
    return Section("Classes and lesions", parts)


def _duplicates(report: DoctorReport) -> Section:
    if report.pairs is None:
        return Section("Near-duplicates", [])
    if not report.pairs:
        line = "No two images of different groups look the same, so that no split leaks by them."
    else:
        found = count(len(report.pairs), "pair")
        line = (
            f"{found} of images from different groups look the same. They are kept in one split, so that none examines "
            "what its double has taught; give a `group` (patient, video) in a CSV where you know better."
        )
    return Section("Near-duplicates", [Text([line]), tables.pair_table(report.pairs)])


def _weights(report: DoctorReport) -> Section:
    lines = ["A teacher that has seen these images may still label them, but no figure on them is a claim then."]
    parts = [tables.weights_pairs(report.weights), Text(lines, "soft")] if report.weights else []
    return Section("Which weights may be used", parts)


def _costs(report: DoctorReport) -> Section:
    costs = report.costs
    parts = [tables.cost_pairs(costs), Text(costs.basis, "soft")] if costs else []
    return Section("What mining will need on this machine", parts)


def _settings(report: DoctorReport) -> Section:
    settings = Pairs("Folders are cut from paths", config_rows(report.settings), words=True)
    return Section("How it was made", [Fold("All settings", [settings])])
