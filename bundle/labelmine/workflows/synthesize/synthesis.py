"""Made images beside gold: its methods are the stages that ``configs/synthesize.yaml`` runs."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path

import ignite.distributed as idist

from labelmine.errors import ConfigError
from labelmine.labelers import PromptedLabeler
from labelmine.prediction import SavedStudent
from labelmine.run.files import GENERATOR_FILE, MIXED, SUPERVISED
from labelmine.teachers import Teacher
from labelmine.training import TrainingPlan, TrainingTask
from labelmine.workflows.synthesize.admission import AdmissionStage
from labelmine.workflows.synthesize.candidates import CandidateStage, recipe_of
from labelmine.workflows.synthesize.conclusion import SynthesisConclusion
from labelmine.workflows.synthesize.feature_networks import FeatureNetwork
from labelmine.workflows.synthesize.generator_training import (
    generator_loader,
    generator_trainer,
    kinds_of,
    new_generator,
)
from labelmine.workflows.synthesize.knobs import SynthesizeKnobs
from labelmine.workflows.synthesize.made_items import admitted_items

logger = logging.getLogger(__name__)

GENERATOR_STAGE = "generator"


class Synthesis:
    """Train a generator on gold, make images, admit those that pass a test, keep a student that gains by them.

    A stage that is finished is not done again.

    Args:
        task: Folder and images.
        teacher: Helps to examine candidates.
        features: Feature network of copies, clusters and Fréchet distance.
        training: How both students are trained.

    Raises:
        ConfigError: Several ranks, or knobs that no image can be made with.
    """

    def __init__(
        self,
        task: TrainingTask[SynthesizeKnobs],
        teacher: Teacher,
        features: FeatureNetwork,
        training: TrainingPlan,
    ) -> None:
        """Refuse bad knobs, and several ranks, before the first training."""
        if idist.get_world_size() > 1:
            raise ConfigError("synthesize.yaml trains on one device: leave out torchrun and multi_gpu.yaml")
        self.task = task
        self.knobs = task.knobs
        self.features = features
        self.training = training
        self.labelled = self.knobs.content != "images"
        self.teacher = teacher if self.labelled and self.knobs.ask_teacher else None
        recipe_of(self.knobs)

    def train_supervised(self) -> None:
        """Train a student on gold alone: the baseline, and one of those who examine made pairs."""
        if self.labelled:
            self.task.train(SUPERVISED, self.training, self.task.new_student(), self.task.images.train)

    def train_generator(self) -> None:
        """Train the generator on the same gold, unless one is given."""
        if self.knobs.generator_file is None:
            self.task.folder.stage(GENERATOR_STAGE, self._train_generator)

    def make_candidates(self) -> None:
        """Make images that are to be examined."""
        own = self.task.folder.path / GENERATOR_STAGE / GENERATOR_FILE
        file = own if self.knobs.generator_file is None else Path(self.knobs.generator_file).expanduser()
        self.task.folder.stage("candidates", CandidateStage(self.task, file, self.kinds))

    def admit(self) -> None:
        """Examine candidates; those that pass lie in ``images/`` and ``masks/``."""
        task, teacher = self.task, self.teacher
        student = SavedStudent(task.folder.path / SUPERVISED, self.knobs.device, tta=True) if self.labelled else None
        asked = PromptedLabeler(teacher, exclusive=task.exclusive) if teacher else None
        task.folder.stage("admit", AdmissionStage(task, student, asked, self.features))

    def train_mixed(self) -> None:
        """Train a student on gold and admitted pairs, for as many steps; on nothing new, none is trained."""
        admitted = admitted_items(self.task.folder.path)
        if not admitted:
            logger.warning(
                "no made image was admitted, so there is nothing to train on: look at report/rejected.png; train the "
                "generator longer (--generator_epochs), make more (--count), or ask for less (--min_agreement)"
            )
        elif self.labelled:
            items = self.task.images.train + admitted
            student = self.task.new_student()
            self.task.train(MIXED, self.training, student, items, gold_share=self.knobs.gold_share)

    def conclude(self) -> None:
        """Keep the better student, examine both on gold test, write figures and page."""
        self.task.folder.stage("evaluate", SynthesisConclusion(self.task, self.features, self.teacher))

    @cached_property
    def kinds(self) -> dict[str, int]:
        """Kind of each gold image; empty where none are wanted."""
        knobs = self.knobs
        return kinds_of(self.task.images, knobs.generator_size, self.features, knobs.clusters, knobs.seed)

    def _train_generator(self) -> None:
        knobs, images = self.knobs, self.task.images
        generator = new_generator(knobs, images)
        steps = knobs.generator_steps * knobs.accumulation_steps
        loader = generator_loader(images, generator, knobs.generator_batch_size, steps)
        folder = self.task.folder.path / GENERATOR_STAGE
        generator_trainer(generator, loader, images, self.kinds, knobs, folder).run()
