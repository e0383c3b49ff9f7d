"""A student on gold alone: the baseline, and any student one wants to deploy."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from ignite.engine import Engine

from labelmine.evaluation import write_metrics, write_report
from labelmine.prediction import examine
from labelmine.prediction.account import context_of, figures_of
from labelmine.run.files import METRICS_FILE, SUPERVISED
from labelmine.run.knobs import GoldKnobs
from labelmine.training import TrainingTask
from labelmine.training.task import TaskKnobs

logger = logging.getLogger(__name__)


class TrainKnobs(GoldKnobs, TaskKnobs):
    """The knobs of ``configs/train.yaml``."""

    workflow: ClassVar[str] = "train"

    corrections: str | None


class SupervisedTraining:
    """Train a student on gold, and examine it.

    Args:
        task: Folder and images.
        trainer: Of the student, writing into the stage's folder, see ``TrainingTask.trainer``.
    """

    def __init__(self, task: TrainingTask[TrainKnobs], trainer: Engine) -> None:
        """Keep what is needed; nothing is done yet."""
        self.task = task
        self.trainer = trainer

    def train(self) -> None:
        """Train, or go on where a killed run stopped."""
        self.task.folder.stage(SUPERVISED, self.trainer.run)

    def conclude(self) -> None:
        """Write ``model.safetensors``, ``test_supervised.csv``, ``metrics.json`` and ``report/``."""
        self.task.folder.stage("evaluate", self._conclude)

    def _conclude(self) -> None:
        task = self.task
        examined = examine(task.folder.path, [SUPERVISED], task.images, task.knobs.device)
        figures: dict[str, Any] = {**figures_of(task, examined), "warnings": []}
        write_metrics(task.folder.path / METRICS_FILE, figures)
        page = write_report(task.folder.path, context_of(task, examined, title="Training report"))
        logger.info("report: %s/%s", page.parent.name, page.name)
