"""Predictions at the images' original size: by the student alone, or refined by the teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.labelers import PromptedLabeler
from labelmine.labelers.prediction import predict, predict_once
from labelmine.networks import ClassStudent, Student, StudentNetwork, TestTimeAverage
from labelmine.progress import progress
from labelmine.transforms import StudentView, asked_part, to_original


class Predictor:
    """A student that answers at the original size of its images.

    Args:
        student: A trained student.
        image_size: Side of its view in pixels.
        refine: A labeler whose teacher refines what the student finds; None: the student alone (fast).
        tta: Whether it answers with the mean over an image's flips and turns, see ``TestTimeAverage``.
        runtime: The same student as another program runs it, which is asked instead.
    """

    def __init__(
        self,
        student: Student,
        image_size: int,
        refine: PromptedLabeler | None = None,
        tta: bool = False,
        runtime: ClassStudent | None = None,
    ) -> None:
        """Keep the student in evaluation mode."""
        self.student = student.eval()
        asked = student if runtime is None else runtime
        self.network: StudentNetwork = TestTimeAverage(asked) if tta else asked
        self.image_size = image_size
        self.refine = refine

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu", tta: bool = False) -> Predictor:
        """Return the predictor of a saved student."""
        student, metadata = Student.load(path)
        return cls(student.to(device), int(metadata["image_size"]), tta=tta)

    def probabilities(self, batch: dict[str, Tensor]) -> Tensor:
        """Return (B, K, S, S) probabilities of a batch of views."""
        if self.refine is None:
            return predict(self.network, batch, self.student.exclusive)
        answer = self.refine(batch, self.network)
        if bool(answer.accepted.all()):
            return answer.mask
        own = predict_once(self.network, batch, self.student.exclusive, answer)
        return torch.where(answer.accepted.reshape(-1, 1, 1, 1), answer.mask, own)

    def masks(
        self, items: Sequence[Item], images: ImageSet, batch_size: int = 8, desc: str = "predict"
    ) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
        """Yield each item with its mask (K, H, W) at the original size, in the given order."""
        load = LoadItem(images.classes, images.window, images.slice_axis)
        view = StudentView(self.image_size, self.refine.teacher_size if self.refine else None)
        views = Dataset(list(items), Compose([load, view]))
        device = next(self.student.parameters()).device
        rest = iter(items)
        for batch in progress(DataLoader(views, batch_size=batch_size), desc, "batch"):
            answer = self.probabilities(asked_part(batch, device)).cpu()
            for probability, size in zip(answer, batch["original_size"], strict=True):
                mask = to_original(probability, (int(size[0]), int(size[1]))) > 0.5
                yield next(rest), mask.numpy()
