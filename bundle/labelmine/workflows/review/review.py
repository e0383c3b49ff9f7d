"""Rank the pseudo labels of a finished run, and hand the first ones out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from labelmine.data import Item, LabelStore, find_images
from labelmine.errors import DataError
from labelmine.prediction import Predictor, student_folder
from labelmine.review import REVIEW_FOLDER, write_review
from labelmine.run.files import LABELS_FOLDER, MODEL_FILE, PHANTOM_FOLDER, SPLIT_FILE
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import ImageKnobs, NotNegative, RunKnobs, Share


class ReviewKnobs(RunKnobs, ImageKnobs):
    """The knobs of ``configs/review.yaml``."""

    workflow: ClassVar[str] = "review"

    model_dir: str | None
    labels_dir: str | None
    output_dir: str | None  # type: ignore[assignment]  # None: labels/review of the labelled run
    budget: NotNegative
    diversity: Share


class Review:
    """Writes ``labels/review.csv`` of the labelled run, and the folders of annotation tools into ``output_dir``.

    Args:
        knobs: Of the workflow.

    Raises:
        WeightsError: No student.
        DataError: The folder holds no labels.
    """

    def __init__(self, knobs: ReviewKnobs) -> None:
        """Look for the labels."""
        self.knobs = knobs
        self.model = student_folder(knobs.model_dir)
        self.labelled = self.model if knobs.labels_dir is None else Path(knobs.labels_dir).expanduser()
        # Both are only opened, so that what is missing is said before anything is written.
        self.predictor = Predictor.load(self.model / MODEL_FILE, knobs.device)
        if not (self.labelled / LABELS_FOLDER).is_dir():
            raise DataError(
                f"{self.labelled.name}: has no {LABELS_FOLDER}/; give --labels_dir the output folder of a mine.yaml or "
                "label.yaml run"
            )
        self.classes = LabelStore.existing(self.labelled / LABELS_FOLDER, knobs.slice_axis).classes
        own = self.labelled / LABELS_FOLDER / REVIEW_FOLDER
        self.folder = RunFolder(own if knobs.output_dir is None else knobs.output_dir, knobs.settings, knobs.workflow)

    def write(self) -> None:
        """Rank and write.

        Raises:
            DataError: None of the images was labelled.
        """
        self.folder.stage("write", self._write)

    def _write(self) -> None:
        knobs = self.knobs
        source = knobs.dataset_dir if knobs.dataset_dir is not None else self._phantoms()
        images = find_images(
            source,
            str(self.folder.path),
            self.classes,
            window=knobs.window,
            slice_axis=knobs.slice_axis,
            mask_pattern=knobs.mask_pattern,
        )
        images.items[:] = _as_in_run(images.items, self.labelled / SPLIT_FILE)
        store = LabelStore(self.labelled / LABELS_FOLDER, images.classes, images.root, knobs.slice_axis)
        table = write_review(
            self.labelled, images, store, self.predictor, knobs.budget, knobs.diversity, review_dir=self.folder.path
        )
        if table.empty:
            raise DataError(
                f"{images.name}: no image of it has a pseudo label in {self.labelled.name}; was it labelled?"
            )

    def _phantoms(self) -> str:
        path = self.labelled / PHANTOM_FOLDER / "dataset.csv"
        if not path.is_file():
            raise DataError(
                f"{self.labelled.name}: was no run on phantoms; give --dataset_dir the images that it labelled"
            )
        return str(path)


def _as_in_run(items: Sequence[Item], split_file: Path) -> list[Item]:
    """Give items the split of the run, where it made one: gold that it hid is not gold to it."""
    if not split_file.is_file():
        return [_without_split(item) for item in items]
    mined = set(json.loads(split_file.read_text(encoding="utf-8"))["unlabeled"])
    kept = [item.copy() for item in items if item["id"] in mined]
    for item in kept:
        item["split"] = "unlabeled"
    return kept


def _without_split(item: Item) -> Item:
    copy = item.copy()
    copy.pop("split", None)
    return copy
