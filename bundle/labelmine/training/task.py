"""What a workflow that trains students works on: its folder, its images, and untrained students for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedTrainer
from pydantic import AfterValidator

from labelmine.data import ImageSet, Item, prepare_image_set
from labelmine.exchange import corrections_reader
from labelmine.networks import Student
from labelmine.networks.student import known_encoder
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import SplitKnobs, StudentKnobs
from labelmine.training.batches import student_loader, view_dataset
from labelmine.training.plan import TrainingPlan
from labelmine.training.start import new_student, starting_weights
from labelmine.training.student_trainer import student_trainer
from labelmine.training.tracking import TrackingUri

#: Knobs, as far as a workflow has them, that decide which images there are and how they are split.
OF_IMAGES = (
    "dataset_dir",
    "mask_pattern",
    "output_dir",
    "seed",
    "labeled_fraction",
    "val_fraction",
    "test_fraction",
    "split_file",
    "classes",
    "window",
    "slice_axis",
)


class TaskKnobs(SplitKnobs, StudentKnobs):
    """What all workflows have that train students on gold."""

    encoder: Annotated[str, AfterValidator(known_encoder)]
    tracking_uri: TrackingUri


K = TypeVar("K", bound=TaskKnobs)


class TrainingTask(Generic[K]):
    """The images of a run, split, and the students that may be trained on them.

    Nothing is read or written before it is asked for; labelers of overlays ask for ``images``, ``exclusive``,
    ``view_size`` and ``references``.

    Args:
        knobs: Of the workflow.
    """

    def __init__(self, knobs: K) -> None:
        """Keep the knobs."""
        self.knobs = knobs
        self.view_size = knobs.image_size

    @cached_property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.knobs.output_dir, self.knobs.settings, self.knobs.workflow)

    @cached_property
    def images(self) -> ImageSet:
        """The images: found, checked and split."""
        knobs = self.knobs
        given = {name: getattr(knobs, name) for name in OF_IMAGES if name in type(knobs).model_fields}
        given["corrections"] = corrections_reader(getattr(knobs, "corrections", None))
        return self.folder.stage("data", lambda: prepare_image_set(**given))

    @property
    def exclusive(self) -> bool:
        """Whether classes exclude each other; unless the knob says so, several classes do."""
        return len(self.images.classes) > 1 if self.knobs.exclusive is None else self.knobs.exclusive

    @property
    def references(self) -> DataLoader:
        """Batches of views of the training gold, in order."""
        return self.batches(self.images.train, shuffle=False)

    @cached_property
    def val_loader(self) -> DataLoader:
        """Batches of views of the validation gold, in order."""
        return self.batches(self.images.val, shuffle=False)

    def views(self, items: Sequence[Item], cache: bool = True, teacher_size: int | None = None) -> CacheDataset:
        """Return the students' views of items, kept in memory up to ``cache_num`` of them, or not at all.

        Where a teacher is to label them, they hold what it sees too; see ``StudentView``.
        """
        return view_dataset(items, self.images, self.view_size, self.knobs.cache_num if cache else 0, teacher_size)

    def loader(self, views: CacheDataset, **how: Any) -> DataLoader:
        """Return batches of views; ``how`` as ``student_loader`` takes it."""
        return student_loader(views, self.knobs.batch_size, **how)

    def batches(
        self, items: Sequence[Item], cache: bool = True, teacher_size: int | None = None, **how: Any
    ) -> DataLoader:
        """Return batches of the students' views of items; see ``views`` and ``loader``."""
        return self.loader(self.views(items, cache, teacher_size), **how)

    def new_student(self) -> Student:
        """Return an untrained student, the same at each call."""
        knobs, names = self.knobs, self.images.classes.names
        return new_student(names, knobs.encoder, self._start, self.exclusive, knobs.seed, knobs.device)

    @cached_property
    def _start(self) -> str | None:
        """What students start from, checked once: it may not have seen the images of their exam."""
        return starting_weights(self.knobs.encoder_weights, self.knobs.pretrained, self.images)

    def trainer(
        self,
        stage: str,
        plan: TrainingPlan,
        network: Student,
        loader: DataLoader,
        handlers: Sequence[Any] = (),
        max_epochs: int | None = None,
    ) -> SupervisedTrainer:
        """Return the trainer of a stage, which keeps its files in the folder of the stage's name."""
        where = self.folder.path / stage
        epochs = max_epochs or self.knobs.max_epochs
        return student_trainer(plan, network, loader, self.val_loader, epochs, where, handlers)

    def train(
        self,
        stage: str,
        plan: TrainingPlan,
        network: Student,
        items: Sequence[Item],
        max_epochs: int | None = None,
        **how: Any,
    ) -> None:
        """Train a student on items as a stage of the run; ``how`` as ``batches`` takes it."""

        def work() -> None:
            loader = self.batches(items, steps=self.knobs.steps_per_epoch, **how)
            self.trainer(stage, plan, network, loader, max_epochs=max_epochs).run()

        self.folder.stage(stage, work)
