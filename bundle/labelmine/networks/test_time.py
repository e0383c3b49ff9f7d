"""Test-time augmentation: a student that looks at an image eight times."""

from __future__ import annotations

import torch
from torch import Tensor

from labelmine.networks.behind import ClassStudent, IndirectStudent
from labelmine.networks.student import logits_of


class TestTimeAverage(IndirectStudent):
    """A student's mean answer over the eight flips and quarter turns of an image.

    With few masks the mean finds lesions that a single look misses or misplaces, for eight times the student's work.

    Args:
        student: Any student.

    Example:
        >>> from labelmine.networks import Student
        >>> student = Student(["lesion"], "mobilenet_v2").eval()
        >>> images = torch.rand(1, 3, 32, 32)
        >>> same = torch.allclose(TestTimeAverage(student)(images), TestTimeAverage(student)(images.mT).mT, atol=1e-4)
        >>> same
        True
    """

    __test__ = False  # pytest takes names that begin with Test for tests

    def __init__(self, student: ClassStudent) -> None:
        """Keep the student."""
        self._student = student

    @property
    def student(self) -> ClassStudent:
        """The student that looks eight times."""
        return self._student

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (B, K or K + 1, S, S) of the mean probability of images (B, 3, S, S) in [0, 1]."""
        exclusive = self.student.exclusive
        looks = []
        for turns in range(4):
            for flipped in (False, True):
                view = torch.rot90(images, turns, (-2, -1))
                logits = self.student(view.flip(-1) if flipped else view)
                found = logits.softmax(1) if exclusive else logits.sigmoid()
                looks.append(torch.rot90(found.flip(-1) if flipped else found, -turns, (-2, -1)))
        return logits_of(torch.stack(looks).mean(0), exclusive)
