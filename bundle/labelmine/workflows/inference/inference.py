"""Masks for new images, at their original size."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from monai.data import DataLoader, Dataset
from monai.transforms import Compose

from labelmine.data import Item, LabelStore, LoadItem
from labelmine.deployment import runtime_student
from labelmine.evaluation import write_metrics
from labelmine.exchange import Algorithm
from labelmine.handlers import MaskSaver, UncertaintySaver
from labelmine.labelers import PromptedLabeler, build_prompted_labeler
from labelmine.labelers.fitted import fitted_labeler
from labelmine.prediction import check_forms, pixel_calibration_of, write_forms
from labelmine.quality import DrawnBy, PixelCalibration
from labelmine.run.files import METRICS_FILE, UNCERTAINTY_FOLDER
from labelmine.teachers import Teacher, cache_metrics
from labelmine.transforms import StudentView
from labelmine.workflows.inference.doubts import write_doubts
from labelmine.workflows.inference.student_inferer import StudentInferer
from labelmine.workflows.inference.task import InferenceTask


class Inference:
    """What an evaluator needs to write the masks of images that have none yet.

    Args:
        task: Folder, images and student.
        teacher: Refines what the student finds; None: the student alone.
    """

    def __init__(self, task: InferenceTask, teacher: Teacher | None = None) -> None:
        """Load the student, so that a missing one is said before images are read."""
        self.task = task
        self.teacher = teacher
        self.exclusive = task.exclusive
        check_forms(task.knobs, task.predictor.student.class_names)

    @cached_property
    def store(self) -> LabelStore:
        """The masks in files."""
        images = self.task.images
        return LabelStore(self.task.folder.path, images.classes, images.root, images.slice_axis)

    @cached_property
    def items(self) -> list[Item]:
        """The images that have no mask yet."""
        return self.store.unfinished(self.task.images.items)

    @cached_property
    def dataset(self) -> Dataset:
        """Views of them."""
        images = self.task.images
        load = LoadItem(images.classes, images.window, images.slice_axis)
        view = StudentView(self.task.view_size, self.labeler.teacher_size if self.labeler else None)
        return Dataset(self.items, Compose([load, view]))

    def loader(self, dataset: Dataset) -> DataLoader:
        """Return batches of views."""
        return DataLoader(dataset, batch_size=self.task.knobs.batch_size)

    @cached_property
    def labeler(self) -> PromptedLabeler | None:
        """Refines what the student finds."""
        if self.teacher is None:
            return None
        labeler = build_prompted_labeler(self.teacher, self.task.knobs, self.exclusive)
        return fitted_labeler(labeler, self.task.model_dir)

    def inferer(self) -> StudentInferer:
        """Return how the student is applied to a batch."""
        return self._inferer

    @cached_property
    def _inferer(self) -> StudentInferer:
        task, knobs = self.task, self.task.knobs
        runtime = runtime_student(knobs.runtime, task.predictor.student, task.model_dir, task.folder.path)
        return StudentInferer(
            task.view_size, self.labeler, knobs.tta, knobs.batch_size, runtime, remember=knobs.uncertainty
        )

    def saver(self) -> MaskSaver:
        """Return the handler that writes masks and manifest, and maps of uncertainty where they are asked for."""
        record = {"drawn_by": DrawnBy.STUDENT if self.teacher is None else DrawnBy.REFINED}
        fractional = self.task.knobs.fractional
        if not self.task.knobs.uncertainty:
            return MaskSaver(self.store, self.items, record, fractional)
        return UncertaintySaver(
            self.store,
            self.items,
            record,
            fractional,
            looks=self._inferer.looks,
            calibration=self.calibration,
            folder=self.task.folder.path / UNCERTAINTY_FOLDER,
        )

    @cached_property
    def calibration(self) -> PixelCalibration:
        """Of the student's pixels."""
        return pixel_calibration_of(self.task.model_dir, len(self.task.predictor.student.class_names))

    def predict(self, run: Callable[[], Any]) -> None:
        """Run an evaluator as a stage, write what else is asked for, and ``metrics.json``; store results in a PACS."""
        task = self.task
        task.folder.stage("predict", run)
        figures = {"dataset": task.images.name, "seed": task.knobs.seed, **task.images.summary}
        if task.knobs.uncertainty:
            figures["pixel_calibration"] = self.calibration.summary()
            task.folder.stage("write", lambda: write_doubts(task, self.store, self.calibration))
        figures["files"] = task.folder.stage("write", self._write_forms)
        figures |= task.store_results()
        cache = cache_metrics(self.labeler.teacher if self.labeler else None)
        write_metrics(task.folder.path / METRICS_FILE, {**figures, "seconds": task.folder.seconds, **cache})

    def _write_forms(self) -> dict[str, int]:
        task = self.task
        name = "labelmine student" if self.labeler is None else "labelmine student and teacher"
        facts = {"tta": str(task.knobs.tta), **(self.labeler.source if self.labeler else {})}
        algorithm = Algorithm(name, task.student_sha256, facts)
        return write_forms(self.store, task.images.items, task.folder.path, task.knobs, algorithm)
