"""What became of the unlabelled images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from labelmine.data import ImageSet, LabelStore
from labelmine.evaluation import PseudoLabelSummary, write_table
from labelmine.evaluation.summary import statistics
from labelmine.prediction import Predictor, compare, evaluate
from labelmine.run.files import LABELS_FOLDER


def summarise_labels(
    store: LabelStore, images: ImageSet, student: Predictor, folder: Path, seed: int
) -> PseudoLabelSummary:
    """Finish the manifest and count; where gold was set aside, compare accepted labels with it.

    Args:
        store: The pseudo labels.
        images: The image set.
        student: Who prompted, compared beside them.
        folder: The run's folder.
        seed: Of the bootstrap.
    """
    store.finish(images.unlabeled)
    records = store.records()
    accepted = sum(bool(record["accepted"]) for record in records)
    known = [item for item in store.accepted_items(images.unlabeled) if "dropped_label" in item]
    label_dice = student_dice = None
    if known:
        labels = compare(((item, store.read(item)[0] > 0) for item in known), images)
        own = evaluate(student, known, images, "student on mined images")
        write_table(folder / LABELS_FOLDER / "against_dropped_gold.csv", labels)
        label_dice, student_dice = (statistics(table, "dice", seed) for table in (labels, own))
    first = records[0] if records else {}
    return PseudoLabelSummary(
        accepted=accepted,
        rejected=len(records) - accepted,
        reasons=dict(Counter(_kind(record["reason"]) for record in records if not record["accepted"])),
        dice=label_dice,
        student_dice=student_dice,
        source=f"{first.get('labeler', 'none')}, teacher {first.get('teacher') or 'none'}",
    )


def _kind(reason: str) -> str:
    """Group reasons that differ only in their score."""
    return "low score" if reason.startswith("score") else reason
