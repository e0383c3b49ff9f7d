"""Compare a student, or mask files, with gold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.data import Item, MaskFolder, read_label
from labelmine.data.masks_elsewhere import classes_elsewhere
from labelmine.deployment import runtime_student
from labelmine.errors import DataError
from labelmine.evaluation import summarise, write_metrics, write_table
from labelmine.labelers import PromptedLabeler, build_prompted_labeler
from labelmine.labelers.fitted import fitted_labeler
from labelmine.prediction import Predictor, compare
from labelmine.report import ReportContext, write_report
from labelmine.run.files import METRICS_FILE
from labelmine.teachers import Teacher, cache_metrics
from labelmine.workflows.evaluate.task import EvaluationTask

logger = logging.getLogger(__name__)


class Evaluation:
    """Writes ``metrics.json``, ``per_image.csv`` and ``report/``.

    Args:
        task: Folder, images and student.
        teacher: Refines what the student finds; None: the student alone.
    """

    def __init__(self, task: EvaluationTask, teacher: Teacher | None = None) -> None:
        """Refuse a set without gold."""
        self.task = task
        self.refine: PromptedLabeler | None = None
        if teacher is not None and task.knobs.masks_dir is None:
            refine = build_prompted_labeler(teacher, task.knobs, task.exclusive)
            self.refine = fitted_labeler(refine, task.model_dir)
        self.items = task.items

    def examine(self) -> None:
        """Examine all images with gold."""
        self.task.folder.stage("evaluate", self._examine)

    def _examine(self) -> None:
        task, seed = self.task, self.task.knobs.seed
        name, masks = ("student", self._predicted()) if task.knobs.masks_dir is None else ("masks", self._stored())
        table = compare(masks, task.images)
        write_table(task.folder.path / "per_image.csv", table)
        figures = {
            "dataset": task.images.name,
            "seed": seed,
            **task.images.summary,
            name: summarise(table, seed),
            "seconds": task.folder.seconds,
            **cache_metrics(self.refine.teacher if self.refine else None),
        }
        write_metrics(task.folder.path / METRICS_FILE, figures)
        page = write_report(task.folder.path, ReportContext(dataset=task.images.name, seed=seed, tables={name: table}))
        logger.info("%s: Dice %.4f over %d images; %s", task.images.name, table["dice"].mean(), len(table), page.name)

    def _predicted(self) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
        task, student = self.task, self.task.predictor.student
        runtime = runtime_student(task.knobs.runtime, student, task.model_dir, task.folder.path)
        predictor = Predictor(student, task.view_size, self.refine, task.knobs.tta, runtime)
        return predictor.masks(self.items, task.images, desc="evaluate")

    def _stored(self) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
        images = self.task.images
        masks = MaskFolder(self.task.knobs.masks_dir or "", images.items)
        files = [(item, _found(masks, item)) for item in self.items]
        classes = classes_elsewhere(images.classes, files, images.slice_axis)
        for item, path in files:
            yield item, read_label(item, path, classes, images.slice_axis) > 0


def _found(masks: MaskFolder, item: Item) -> Path:
    path = masks.find(item["id"])
    if path is None:
        raise DataError(
            f"masks_dir: no mask of the image {item['id']!r}: give each image with gold a mask of its name, for "
            f"example {item['id']}.png"
        )
    return path
