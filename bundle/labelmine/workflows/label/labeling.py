"""Pseudo labels for a folder of images, by the student of an earlier run and a labeler: mask files and a manifest."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from labelmine.data import LabelStore
from labelmine.errors import ConfigError
from labelmine.evaluation import write_metrics
from labelmine.exchange import Algorithm
from labelmine.handlers import InFiles, PseudoLabeling
from labelmine.labelers import Labeler, build_trusted_labeler
from labelmine.labelers.fitted import fitted_labeler
from labelmine.prediction import StudentTask, check_forms, write_forms
from labelmine.prediction.task import StudentTaskKnobs
from labelmine.run.files import GATE_FILE, LABELS_FOLDER, METRICS_FILE
from labelmine.run.knobs import MaskFormKnobs, NotNegative, TrustKnobs
from labelmine.teachers import cache_metrics
from labelmine.transforms import StudentView


class LabelKnobs(StudentTaskKnobs, TrustKnobs, MaskFormKnobs):
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
        check_forms(task.knobs, task.predictor.student.class_names)
        self.labeler = labeler = fitted_labeler(labeler, task.model_dir)
        if labeler.teacher is not None and labeler.teacher.decoder_sha256:
            task.folder.depends_on(decoder_sha256=labeler.teacher.decoder_sha256)
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
        """Write the manifest as a table, labels in their other forms, and ``metrics.json``."""
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
                lambda: task.student_sha256,
                self.knobs.tta,
                self.knobs.fractional,
            ),
        )

    def _conclude(self) -> None:
        task = self.task
        self.store.finish(task.images.items)
        facts = {"tta": str(self.knobs.tta), **self.labeler.source}
        algorithm = Algorithm("labelmine pseudo label", task.student_sha256, facts)
        files = write_forms(self.store, task.images.items, task.folder.path, self.knobs, algorithm)
        accepted = [bool(record["accepted"]) for record in self.store.records()]
        figures = {
            "dataset": task.images.name,
            "seed": self.knobs.seed,
            **task.images.summary,
            "pseudo_labels": {"accepted": sum(accepted), "rejected": len(accepted) - sum(accepted)},
            "files": files,
            "seconds": task.folder.seconds,
            **cache_metrics(self.labeler.teacher),
        }
        write_metrics(task.folder.path / METRICS_FILE, figures)
