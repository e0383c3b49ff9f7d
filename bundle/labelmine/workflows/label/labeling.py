"""Pseudo labels for a folder of images, by the student of an earlier run and a labeler: mask files and a manifest."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from labelmine.data import LabelStore
from labelmine.errors import ConfigError
from labelmine.evaluation import write_metrics
from labelmine.handlers import InFiles, PseudoLabeling
from labelmine.labelers import Labeler, build_trusted_labeler
from labelmine.prediction import StudentTask
from labelmine.prediction.task import StudentTaskKnobs
from labelmine.run.files import GATE_FILE, LABELS_FOLDER, METRICS_FILE, MODEL_FILE
from labelmine.run.knobs import NotNegative, TrustKnobs
from labelmine.teachers import cache_metrics
from labelmine.transforms import StudentView
from labelmine.weights import sha256_of


class LabelKnobs(StudentTaskKnobs, TrustKnobs):
    """The knobs of ``configs/label.yaml``."""

    workflow: ClassVar[str] = "label"

    gate: bool | None  # type: ignore[assignment]  # None: by the verdict of the student's run, where there is one
    num_workers: NotNegative


class Labeling:
    """Label the images that have no label yet.

    Args:
        task: Folder, images and student.
        labeler: Who labels, with its teacher as the student's run fitted it, unless the verdict of that run says that
            the student does it better.

    Raises:
        ConfigError: A gate is asked for, and the student's run has none.
    """

    def __init__(self, task: StudentTask[LabelKnobs], labeler: Labeler) -> None:
        """Look for the verdict of the student's run."""
        self.task = task
        self.knobs = task.knobs
        self.labeler = labeler = task.fitted(labeler)
        verdict = task.model_dir / GATE_FILE
        if self.knobs.gate and not verdict.is_file():
            raise ConfigError(
                f"gate: expected the verdict of the student's run, found no {GATE_FILE} in {task.model_dir.name}. Give "
                "--gate false, which trusts the labeler, or the --model_dir of a mine.yaml run with a gate"
            )
        gated = verdict.is_file() if self.knobs.gate is None else self.knobs.gate
        self.trusted = build_trusted_labeler(labeler, verdict if gated else None, self.knobs, task.exclusive)

    @cached_property
    def store(self) -> LabelStore:
        """The labels in files."""
        images = self.task.images
        return LabelStore(self.task.folder.path / LABELS_FOLDER, images.classes, images.root, images.slice_axis)

    def label(self) -> None:
        """Label all images, or those that a killed run left."""
        self.task.folder.stage("label", self._labeling().label_all)

    def conclude(self) -> None:
        """Write the manifest as a table, and ``metrics.json``."""
        self.task.folder.stage("write", self._conclude)

    def _labeling(self) -> PseudoLabeling:
        task, items = self.task, self.task.images.items
        return PseudoLabeling(
            self.trusted,
            task.predictor.network,
            task.batches(self.store.unfinished(items), self.knobs.num_workers, self.trusted.teacher_size),
            memory=InFiles(
                self.store,
                items,
                StudentView(task.view_size),
                lambda: sha256_of(task.model_dir / MODEL_FILE),
                self.knobs.tta,
            ),
        )

    def _conclude(self) -> None:
        task = self.task
        self.store.finish(task.images.items)
        accepted = [bool(record["accepted"]) for record in self.store.records()]
        figures = {
            "dataset": task.images.name,
            "seed": self.knobs.seed,
            **task.images.summary,
            "pseudo_labels": {"accepted": sum(accepted), "rejected": len(accepted) - sum(accepted)},
            "seconds": task.folder.seconds,
            **cache_metrics(self.labeler.teacher),
        }
        write_metrics(task.folder.path / METRICS_FILE, figures)
