"""What a workflow works on that asks a trained student: its folder, its images, and the student."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from monai.data import DataLoader

from labelmine.data import ImageSet, Item, find_images
from labelmine.networks import Student
from labelmine.prediction.predictor import Predictor
from labelmine.prediction.saved_student import student_folder
from labelmine.run.files import MODEL_FILE
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import Count, ImageKnobs, RunKnobs
from labelmine.training import student_loader, view_dataset
from labelmine.weights import sha256_of


class StudentTaskKnobs(RunKnobs, ImageKnobs):
    """What all workflows have that ask a trained student.

    Class attributes:
        uses_gold: Whether masks of the images are of any use.
    """

    uses_gold: ClassVar[bool] = True

    model_dir: str | None
    batch_size: Count
    tta: bool


K = TypeVar("K", bound=StudentTaskKnobs)


class StudentTask(Generic[K]):
    """Images without a split, and the student of an earlier run.

    Nothing is read or written before it is asked for; labelers of overlays ask for ``images``, ``exclusive``,
    ``view_size`` and ``references``.

    Args:
        knobs: Of the workflow.
        root: Folder of the bundle, where the student that ships lies; None: where this package has it.
    """

    def __init__(self, knobs: K, root: str | Path | None = None) -> None:
        """Keep the knobs."""
        self.knobs = knobs
        self.root = root

    @cached_property
    def model_dir(self) -> Path:
        """Folder of the run that trained the student; that of the shipped one where the knob names none."""
        return student_folder(self.knobs.model_dir, self.root)

    @cached_property
    def folder(self) -> RunFolder:
        """The run's folder; its results depend on the student."""
        folder = RunFolder(self.knobs.output_dir, self.knobs.settings, self.knobs.workflow)
        folder.depends_on(student_sha256=self.student_sha256)
        return folder

    @cached_property
    def student_sha256(self) -> str:
        """Hash of the student's file."""
        return sha256_of(self.model_dir / MODEL_FILE)

    @cached_property
    def predictor(self) -> Predictor:
        """The student."""
        return Predictor.load(self.model_dir / MODEL_FILE, self.knobs.device, self.knobs.tta)

    @cached_property
    def images(self) -> ImageSet:
        """The images: found and checked, with the student's classes."""
        return self.folder.stage("data", lambda: self.find(self.predictor.student.class_names))

    @property
    def dataset_dir(self) -> str | None:
        """Where the images are."""
        return self.knobs.dataset_dir

    def find(self, class_names: Sequence[str], classes: Any = None) -> ImageSet:
        """Find and check the images; see ``find_images``."""
        knobs = self.knobs
        return find_images(
            self.dataset_dir,
            knobs.output_dir,
            classes,
            class_names,
            window=knobs.window,
            slice_axis=knobs.slice_axis,
            mask_pattern=knobs.mask_pattern,
            gold=knobs.uses_gold,
        )

    @property
    def exclusive(self) -> bool:
        """Whether classes exclude each other."""
        return self.predictor.student.exclusive

    @property
    def view_size(self) -> int:
        """Side of the student's view in pixels."""
        return self.predictor.image_size

    @property
    def references(self) -> DataLoader:
        """Batches of views of those images that have gold."""
        return self.batches([item for item in self.images.items if "label" in item])

    def batches(self, items: Sequence[Item], num_workers: int = 0, teacher_size: int | None = None) -> DataLoader:
        """Return batches of plain views of items, in order; with what a teacher sees, see ``StudentView``."""
        views = view_dataset(items, self.images, self.view_size, cache_num=0, teacher_size=teacher_size)
        return student_loader(views, self.knobs.batch_size, shuffle=False, num_workers=num_workers)


def bundled_student(root: str | Path | None = None) -> Student:
    """Return the student that ships with a bundle: what ``monai.bundle.load`` puts ``models/model.pt`` into.

    Args:
        root: Folder of the bundle; None: where this package has it.

    Raises:
        WeightsError: No student there.
    """
    return Student.load(student_folder(None, root) / MODEL_FILE)[0]
