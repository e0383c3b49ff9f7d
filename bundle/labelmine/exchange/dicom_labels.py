"""Labels of DICOM images as the forms that hospitals take: who drew and who reviewed them is said in each.

One file per stack of a series (see ``stacks_of``), of the images that go out. Segment Algorithm Type (PS3.3 C.8.20.4)
and ROI Generation Algorithm (C.8.8.5) are ``MANUAL`` where all of it is gold, ``AUTOMATIC`` where all is pseudo labels
that nobody looked at, else ``SEMIAUTOMATIC``. A reviewer's name, where there is one, is Content Creator's Name of a
segmentation, and ROI Interpreter of a structure set. Nothing here is approved for use on patients.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelmine.atomic import write_whole
from labelmine.errors import DataError
from labelmine.exchange.dicom_seg import SegmentationForm, require_highdicom
from labelmine.exchange.dicom_stacks import Stack, dicom_series, stacks_of
from labelmine.exchange.drawn_by import Algorithm, AlgorithmType
from labelmine.exchange.identity import Identity
from labelmine.exchange.label_set import LabelledImage, LabelSet
from labelmine.exchange.rt_structure_set import StructureSetForm
from labelmine.exchange.segment_terms import segment_terms
from labelmine.exchange.series_forms import SeriesForm
from labelmine.exchange.series_volume import VolumeForm
from labelmine.progress import progress

logger = logging.getLogger(__name__)

MakeForm = Callable[[Path, LabelSet, Algorithm], SeriesForm]


def write_segmentations(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write a DICOM SEG per stack; return figures for ``export.json``.

    Raises:
        DataError: No image is DICOM, or none can be segmented so.
        ConfigError: highdicom is missing.
    """
    require_highdicom()
    return _write(labels, folder, lambda *args: SegmentationForm(*_described(*args)))


def write_rtstruct(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write an RT Structure Set per stack; as ``write_segmentations``."""
    return _write(labels, folder, lambda *args: StructureSetForm(*_described(*args)))


def write_volumes(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write a NIfTI volume per stack, which has no place for who drew it; as ``write_segmentations``."""
    return _write(labels, folder, lambda folder, labels, _: VolumeForm(folder, labels.classes.names, Identity()))


def algorithm_of(images: Sequence[LabelledImage], labels: LabelSet) -> Algorithm:
    """Return who drew the labels of a stack, and who looked at them."""
    sources = Counter(image.source for image in images)
    kind: AlgorithmType = "SEMIAUTOMATIC"
    if set(sources) == {"gold"}:
        kind = "MANUAL"
    elif set(sources) == {"pseudo"}:
        kind = "AUTOMATIC"
    records = {record["id"]: record for record in labels.store.records()} if labels.store else {}
    made = [records[image.id] for image in images if image.id in records and image.source != "gold"]
    weights = {
        key: "+".join(sorted({str(record[key]) for record in made if record.get(key)}))
        for key in ("student_sha256", "teacher_sha256")
    }
    reviewers = {image.reviewed_by for image in images if image.reviewed_by} - {"expert"}
    facts = {"labels": ", ".join(f"{count} {source}" for source, count in sorted(sources.items()))}
    facts |= {key: value for key, value in weights.items() if value}
    name = "labelmine expert" if kind == "MANUAL" else "labelmine labels"
    serial = (weights["student_sha256"] or weights["teacher_sha256"] or "none")[:64]
    return Algorithm(name, serial, facts, kind, " and ".join(sorted(reviewers)))


def _write(labels: LabelSet, folder: Path, make: MakeForm) -> dict[str, Any]:
    by_id = {image.id: image for image in labels.images}
    counts, refused = Counter[str](), Counter[str]()
    for stack in progress(list(_stacks(labels, refused)), "export", "file"):
        images = [by_id[frame.item["id"]] for frame in stack.frames]
        algorithm = algorithm_of(images, labels)
        form = make(folder, labels, algorithm)
        if reason := form.refusal(stack):
            refused[reason] += 1
            continue
        read = [labels.read_label(image) for image in images]
        content = form.build(stack, np.stack([np.moveaxis(mask, 0, -1) for mask, _ in read]))
        write_whole(form.path(stack), content)
        counts["pixels_that_abstain"] += sum(int((weight == 0).sum()) for _, weight in read)
        counts[algorithm.kind.lower()] += 1
        counts["files"] += 1
    for reason, count in refused.items():
        logger.warning("%d series or stacks: %s", count, reason)
    if not counts["files"]:
        raise DataError(f"{labels.name}: none of its labelled images is of a DICOM series that can have this form")
    return labels.figures | dict(counts) | {"refused": dict(refused)}


def _stacks(labels: LabelSet, refused: Counter[str]) -> Iterator[Stack]:
    for items in dicom_series(image.item for image in labels.images).values():
        try:
            yield from stacks_of(items)
        except DataError as error:
            refused[str(error)] += 1


def _described(folder: Path, labels: LabelSet, algorithm: Algorithm) -> tuple[Any, ...]:
    names = labels.classes.names
    return folder, names, Identity(), segment_terms(names, {}), algorithm
