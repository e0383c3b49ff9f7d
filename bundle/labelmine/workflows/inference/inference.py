"""Masks for new images, at their original size."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from monai.data import DataLoader, Dataset
from monai.transforms import Compose

from labelmine.data import Item, LabelStore, LoadItem
from labelmine.evaluation import write_metrics
from labelmine.handlers import MaskSaver
from labelmine.labelers import PromptedLabeler, build_prompted_labeler
from labelmine.labelers.fitted import fitted_labeler
from labelmine.prediction import StudentTask
from labelmine.prediction.task import StudentTaskKnobs
from labelmine.quality import DrawnBy
from labelmine.run.files import METRICS_FILE
from labelmine.run.knobs import RefinementKnobs, RuntimeKnobs
from labelmine.teachers import Teacher, cache_metrics
from labelmine.transforms import StudentView
from labelmine.workflows.inference.student_inferer import StudentInferer


class InferenceKnobs(StudentTaskKnobs, RefinementKnobs, RuntimeKnobs):
    """The knobs of ``configs/inference.yaml``."""

    workflow: ClassVar[str] = "inference"


class Inference:
    """What an evaluator needs to write the masks of images that have none yet.

    Args:
        task: Folder, images and student.
        teacher: Refines what the student finds; None: the student alone.
    """

    def __init__(self, task: StudentTask[InferenceKnobs], teacher: Teacher | None = None) -> None:
        """Load the student, so that a missing one is said before images are read."""
        self.task = task
        self.teacher = teacher
        self.exclusive = task.exclusive

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
        task = self.task
        return StudentInferer(task.view_size, self.labeler, task.knobs.tta, task.runtime(task.knobs.runtime))

    def saver(self) -> MaskSaver:
        """Return the handler that writes masks and manifest."""
        drawn_by = DrawnBy.STUDENT if self.teacher is None else DrawnBy.REFINED
        return MaskSaver(self.store, self.items, {"drawn_by": drawn_by})

    def predict(self, run: Callable[[], Any]) -> None:
        """Run an evaluator as a stage, and write ``metrics.json``."""
        task = self.task
        task.folder.stage("predict", run)
        figures = {"dataset": task.images.name, "seed": task.knobs.seed, **task.images.summary}
        cache = cache_metrics(self.labeler.teacher if self.labeler else None)
        write_metrics(task.folder.path / METRICS_FILE, {**figures, "seconds": task.folder.seconds, **cache})
