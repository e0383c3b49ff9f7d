"""The main job: its methods are the stages that ``configs/mine.yaml`` runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from monai.data import DataLoader

from labelmine.data import Fold, Item, LabelStore, folds_beside_validation
from labelmine.handlers import InFiles, PseudoLabeling
from labelmine.labelers import Labeler, PromptedLabeler, build_trusted_labeler
from labelmine.labelers.fitted import fitted_labeler
from labelmine.networks import Student
from labelmine.prediction import SavedStudent, best_student
from labelmine.run.files import FOLD, GATE_FILE, LABELS_FOLDER, MINED, SUPERVISED
from labelmine.training import TrainingPlan, TrainingTask
from labelmine.transforms import StudentView
from labelmine.workflows.mine.conclusion import conclude
from labelmine.workflows.mine.gate import GateStage
from labelmine.workflows.mine.held_out import HeldOut
from labelmine.workflows.mine.knobs import MineKnobs
from labelmine.workflows.mine.relabeling import relabeling_handlers
from labelmine.workflows.mine.teacher_fit import TeacherFit


class Mining:
    """Train a student on gold, label with it, train another on gold and labels, keep one of them.

    A stage that is finished is not done again.

    Args:
        task: Folder and images.
        labeler: Who labels, unless the gate finds that the student does it better.
        training: How both students are trained.
    """

    def __init__(self, task: TrainingTask[MineKnobs], labeler: Labeler, training: TrainingPlan) -> None:
        """Keep what is needed; what cannot work is refused here, before the first training."""
        self.task = task
        self.knobs = task.knobs
        self.labeler = labeler
        self.training = training
        self.path = task.folder.path
        labeler.check(task.new_student())

    def train_supervised(self) -> None:
        """Train the first student, on gold alone."""
        self.task.train(SUPERVISED, self.training, self.task.new_student(), self.task.images.train)

    def train_folds(self) -> None:
        """Train short students on parts of the gold, so that the gate can ask about images that they never saw."""
        for number, fold in enumerate(self._folds):
            self.task.train(
                FOLD.format(number),
                self.training,
                self.task.new_student(),
                fold.train,
                max_epochs=self.knobs.fold_epochs,
            )

    def fit_teacher(self) -> None:
        """Fit the teacher to the training gold; from here on the fitted one is asked, where that proved better."""
        given = self.labeler
        if self.knobs.fit_steps and isinstance(given, PromptedLabeler) and given.teacher.decoder is not None:
            self.task.folder.stage("fit", self._fit(given))
            self.labeler = fitted_labeler(given, self.path)

    def examine_labeler(self) -> None:
        """Let gold that no student saw say who labels better, the labeler or the student."""
        if self.knobs.gate:
            self.task.folder.stage("gate", self._gate())

    def label_once(self) -> None:
        """Label all images without gold, by the first student, before the second is trained (``one_time``)."""
        if self.knobs.schedule == "one_time":
            self.task.folder.stage("label", self.labeling.label_all)

    def train_mined(self) -> None:
        """Train the second student, on gold and pseudo labels."""
        self.task.folder.stage(MINED, self._train_mined)

    def label_at_last(self) -> None:
        """Label all images without gold, by the second student, after its training (``continuous``)."""
        if self.knobs.schedule == "continuous":
            self.task.folder.stage("label", self.labeling.label_all)

    def conclude(self) -> None:
        """Keep a student, examine both on gold test, write labels, figures and report."""
        self.task.folder.stage("evaluate", lambda: conclude(self.task, self.store, self.prompter, self.labeler.teacher))

    @cached_property
    def trusted_labeler(self) -> Labeler:
        """Who labels in the end: the gate's choice, or the labeler as it is."""
        verdict = self.path / GATE_FILE if self.knobs.gate else None
        return build_trusted_labeler(self.labeler, verdict, self.knobs, self.task.exclusive)

    @cached_property
    def prompter(self) -> SavedStudent:
        """The student that prompts when labels go into files."""
        return self._saved(SUPERVISED if self.knobs.schedule == "one_time" else MINED)

    @cached_property
    def store(self) -> LabelStore:
        """Pseudo labels in files."""
        images = self.task.images
        return LabelStore(self.path / LABELS_FOLDER, images.classes, images.root, images.slice_axis)

    @cached_property
    def labeling(self) -> PseudoLabeling:
        """Labels all images without gold, into files."""
        images = self.task.images
        rest = self.store.unfinished(images.unlabeled)
        return PseudoLabeling(
            self.trusted_labeler,
            self.prompter,
            self._views(rest, num_workers=self.knobs.num_workers),
            pseudo_weight=self.knobs.pseudo_weight,
            memory=InFiles(
                self.store,
                images.unlabeled,
                StudentView(self.task.view_size),
                self.prompter.sha256,
                self.knobs.tta,
            ),
            device=self.knobs.device,
        )

    @cached_property
    def _folds(self) -> list[Fold]:
        """Folds of the training gold; none where enough validates, or where the labeler has looked at it."""
        if not self.knobs.gate or self.labeler.looks_at_gold:
            return []
        return folds_beside_validation(self.task.images, self.knobs.folds, self.knobs.seed)

    def _gate(self) -> GateStage:
        task = self.task
        folds = [
            replace(held_out, labeler=fitted_labeler(self.labeler, self.path, FOLD.format(n)))
            for n, held_out in enumerate(self._held_out_folds())
        ]
        return GateStage(
            self.labeler,
            [*folds, HeldOut(self._saved(SUPERVISED), self._views(task.images.val), self.labeler)],
            references=task.references,
            class_names=task.images.classes.names,
            groups=task.images.groups,
            folder=self.path,
            exclusive=task.exclusive,
            margin=self.knobs.gate_margin,
            device=self.knobs.device,
        )

    def _fit(self, labeler: PromptedLabeler) -> TeacherFit:
        task, folds = self.task, self._held_out_folds()
        return TeacherFit(
            labeler,
            folds,
            [] if folds else self._views(task.images.train),
            HeldOut(self._saved(SUPERVISED), self._views(task.images.val)),
            steps=self.knobs.fit_steps,
            folder=self.path,
            seed=self.knobs.seed,
            exclusive=task.exclusive,
            device=self.knobs.device,
        )

    def _held_out_folds(self) -> list[HeldOut]:
        return [HeldOut(self._saved(FOLD.format(n)), self._views(fold.held_out)) for n, fold in enumerate(self._folds)]

    def _saved(self, stage: str) -> SavedStudent:
        return SavedStudent(self.path / stage, self.knobs.device, self.knobs.tta)

    def _views(self, items: Sequence[Item], num_workers: int = 0) -> DataLoader:
        """Return batches for the labeler."""
        size = self.labeler.teacher_size
        return self.task.batches(items, cache=False, teacher_size=size, shuffle=False, num_workers=num_workers)

    def _train_mined(self) -> None:
        knobs, network = self.knobs, self._second_student()
        size = self.labeler.teacher_size if knobs.schedule == "continuous" else None
        loader = self.task.batches(
            self._items(), teacher_size=size, steps=knobs.steps_per_epoch, gold_share=knobs.gold_share
        )
        handlers = self._handlers(network)
        self.task.trainer(MINED, self.training, network, loader, handlers).run()

    def _second_student(self) -> Student:
        if self.knobs.start_from == "new":
            return self.task.new_student()
        return best_student(self.path / SUPERVISED, self.knobs.device)

    def _items(self) -> list[Item]:
        """Gold, and the unlabelled images that have an accepted label (``one_time``) or may get one."""
        images = self.task.images
        if self.knobs.schedule == "one_time":
            return images.train + self.store.accepted_items(images.unlabeled)
        return images.train + images.unlabeled

    def _handlers(self, network: Student) -> Sequence[Any]:
        if self.knobs.schedule == "one_time":
            return [self.labeling]
        return relabeling_handlers(self.task, self.trusted_labeler, network, self.path / MINED)
