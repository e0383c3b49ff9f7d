"""Train the compact teacher on image sets with masks and simulated prompts."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from torch.optim.lr_scheduler import OneCycleLR

from labelmine.evaluation import write_metrics
from labelmine.losses import PromptableLoss
from labelmine.prompts import PromptSimulator
from labelmine.run.files import METRICS_FILE, PHANTOM_FOLDER, TEACHER_FILE
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import Count, NotNegative, Positive, RunKnobs, Share, ViewSize
from labelmine.teachers import CompactTeacher, build_compact_teacher, save_compact_teacher
from labelmine.teachers.build import frozen
from labelmine.training import TrainerParts, equip, new_trainer
from labelmine.transforms import BatchAugment
from labelmine.workflows.train_teacher.exam import exam_samples, prompted_dice
from labelmine.workflows.train_teacher.objects import views_of_objects
from labelmine.workflows.train_teacher.prompted_forward import PrepareSimulatedPrompts, PromptedForward
from labelmine.workflows.train_teacher.start import parameter_groups
from labelmine.workflows.train_teacher.teacher_sets import TeacherSets, balanced_sampler, load_teacher_sets

logger = logging.getLogger(__name__)

#: Objects of an image that are asked for at each visit: encoding it costs more than answering them all.
OBJECTS_PER_IMAGE = 2


class TeacherKnobs(RunKnobs):
    """The knobs of ``configs/train_teacher.yaml``."""

    workflow: ClassVar[str] = "train_teacher"

    dataset_dirs: list[str]
    exam_dir: str | None
    imagenet_weights: str | None
    initial_teacher: str | None
    image_size: ViewSize
    batch_size: Count
    max_epochs: Count
    steps_per_epoch: Count
    learning_rate: Positive
    encoder_learning_rate: Positive
    weight_decay: Annotated[float, Ge(0)]
    phantom_count: NotNegative
    exam_jitter: Share
    bfloat16: bool


class TeacherTraining:
    """Writes ``teacher.safetensors`` and ``metrics.json``.

    Args:
        knobs: Of the workflow.
        teacher: To be trained.
        augment: Augmentation of training batches.
    """

    def __init__(self, knobs: TeacherKnobs, teacher: CompactTeacher, augment: BatchAugment) -> None:
        """Open the folder and find the images of all sets."""
        self.knobs = knobs
        self.teacher = teacher
        self.augment = augment
        self.folder = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow)
        self.view = views_of_objects(knobs.image_size)
        self.exam = exam_samples(knobs.exam_dir, self.view)

    @cached_property
    def sets(self) -> TeacherSets:
        """The image sets."""
        knobs = self.knobs
        return self.folder.stage(
            "data",
            lambda: load_teacher_sets(
                knobs.dataset_dirs, str(self.folder.path), phantom_count=knobs.phantom_count, seed=knobs.seed
            ),
        )

    @cached_property
    def trainer(self) -> SupervisedTrainer:
        """One cycle of the learning rate over all steps; the image encoder has its own."""
        knobs = self.knobs
        network = PromptedForward(self.teacher, knobs.bfloat16)
        optimizer = torch.optim.AdamW(
            parameter_groups(self.teacher), knobs.learning_rate, weight_decay=knobs.weight_decay
        )
        rates = [knobs.encoder_learning_rate, knobs.learning_rate]
        parts = TrainerParts(
            network=network,
            loader=self._loader(),
            optimizer=optimizer,
            scheduler=OneCycleLR(optimizer, rates, total_steps=knobs.max_epochs * knobs.steps_per_epoch + 1),
            loss=PromptableLoss(),
            prepare_batch=PrepareSimulatedPrompts(
                self.augment, PromptSimulator(seed=knobs.seed, n_objects=OBJECTS_PER_IMAGE)
            ),
            max_epochs=knobs.max_epochs,
            folder=self.folder.path,
            seed=knobs.seed,
            device=knobs.device,
        )
        schedule = LrScheduleHandler(parts.scheduler, print_lr=False, epoch_level=False)
        return equip(new_trainer(parts), parts, [schedule], {})

    def train(self) -> None:
        """Train, or go on where a killed run stopped."""
        self.folder.stage("train", lambda: self.trainer.run())

    def write(self) -> None:
        """Write the teacher and, after its exam if there is one, the figures."""
        self.folder.stage("write", self._write)

    def _loader(self) -> DataLoader:
        knobs, sets = self.knobs, self.sets
        views = CacheDataset(sets.items, self.view, num_workers=2, progress=False)
        sampler = balanced_sampler(sets.sizes, knobs.steps_per_epoch * knobs.batch_size)
        return DataLoader(views, batch_size=knobs.batch_size, sampler=sampler)

    def _write(self) -> None:
        knobs = self.knobs
        recipe: dict[str, Any] = knobs.model_dump(include={"seed", "batch_size", "image_size", "learning_rate"})
        recipe |= {"optimizer_steps": knobs.max_epochs * knobs.steps_per_epoch, "exam_jitter": knobs.exam_jitter}
        made = (self.folder.path / PHANTOM_FOLDER).absolute()
        seen = [item["image"] for item in self.sets.items if made not in Path(item["image"]).absolute().parents]
        trained_on = self.teacher.trained_on
        path = save_compact_teacher(frozen(self.teacher), self.folder.path / TEACHER_FILE, seen, recipe, trained_on)
        exam = prompted_dice(build_compact_teacher(str(path)), self.exam, knobs.exam_jitter) if self.exam else None
        figures = {"recipe": recipe, "n_images": sum(self.sets.sizes), "exam": exam, "seconds": self.folder.seconds}
        write_metrics(self.folder.path / METRICS_FILE, figures)
        logger.info("wrote %s; exam: %s", path.name, exam)
