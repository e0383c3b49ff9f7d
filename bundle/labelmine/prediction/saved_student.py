"""Students that a run has trained, read from its folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from labelmine.bundle import bundle_root
from labelmine.hub import hub_folder, is_hub_id
from labelmine.networks import IndirectStudent, Student, TestTimeAverage
from labelmine.run.files import BEST_FILE, MODEL_FILE
from labelmine.weights import sha256_of


def student_folder(model_dir: str | None, root: str | Path | None = None) -> Path:
    """Return where a student lies that is named by the output folder of its run, or by its id on the Hugging Face hub.

    Args:
        model_dir: The knob; None: the student that ships.
        root: Folder of the bundle, where that one lies; None: where this package has it.

    Raises:
        WeightsError: The hub has no such student or cannot be reached, and it was not fetched before.
    """
    if model_dir is None:
        return Path(root or bundle_root()).expanduser() / "models"
    if is_hub_id(model_dir):
        return hub_folder(model_dir, [MODEL_FILE], "check the id, or give the output folder of a mine or train run")
    return Path(model_dir).expanduser()


def best_student(folder: str | Path, device: torch.device | str = "cpu") -> Student:
    """Return the best student of a training stage, in evaluation mode."""
    return Student.load(Path(folder) / BEST_FILE)[0].to(device)


class SavedStudent(IndirectStudent):
    """The best student of a stage, read when it is first asked: it may be named before the stage has run.

    Args:
        folder: Folder of the stage.
        device: Where it predicts.
        tta: Whether it answers with the mean over an image's flips and turns, see ``TestTimeAverage``.
    """

    def __init__(self, folder: str | Path, device: torch.device | str = "cpu", tta: bool = False) -> None:
        """Read nothing yet."""
        self.folder = Path(folder)
        self.device = device
        self.tta = tta
        self._student: Student | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits of (B, 3, S, S) images in [0, 1]."""
        logits: Tensor = (TestTimeAverage(self.student) if self.tta else self.student)(images)
        return logits

    @property
    def student(self) -> Student:
        """The student itself, for labelers that look into it."""
        if self._student is None:
            self._student = best_student(self.folder, self.device)
        return self._student

    def sha256(self) -> str:
        """Hash of the student's file, for the manifest."""
        return sha256_of(self.folder / BEST_FILE)
