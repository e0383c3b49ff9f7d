"""Test-time augmentation: a student that looks at an image eight times."""

from __future__ import annotations

import torch
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.networks.behind import ClassStudent, IndirectStudent
from labelmine.networks.student import logits_of, probabilities


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
        return _of_mean(_eight_looks(self.student, images), self.student.exclusive)


class RememberedLooks(IndirectStudent):
    """A student that looks eight times and remembers what it saw, whichever answer counts.

    Args:
        student: Any student.
        mean: Whether its answer is the mean of the looks, see ``TestTimeAverage``, or the plain look alone.
    """

    def __init__(self, student: ClassStudent, mean: bool) -> None:
        """Keep the student."""
        self._student = student
        self._mean = mean
        self._logits: Tensor | None = None

    @property
    def student(self) -> ClassStudent:
        """The student that looks eight times."""
        return self._student

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (B, K or K + 1, S, S) of images (B, 3, S, S) in [0, 1]."""
        self._logits = logits = _eight_looks(self.student, images)
        return _of_mean(logits, self.student.exclusive) if self._mean else logits[0]

    def mean_and_spread(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (B, K, S, S) of the probabilities that the last looks gave.

        Raises:
            ConfigError: It has not looked at anything yet.
        """
        if self._logits is None:
            raise ConfigError("expected looks at a batch of images, got none; call the student first")
        flat = probabilities(self._logits.flatten(0, 1).float(), self.student.exclusive)
        looks = flat.reshape(*self._logits.shape[:2], *flat.shape[1:])
        return looks.mean(0), looks.std(0, correction=0)


def _eight_looks(student: ClassStudent, images: Tensor) -> Tensor:
    """Return logits (8, B, K or K + 1, S, S) of the flips and quarter turns, turned back; the plain look first."""
    looks = []
    for turns in range(4):
        for flipped in (False, True):
            view = torch.rot90(images, turns, (-2, -1))
            logits = student(view.flip(-1) if flipped else view)
            looks.append(torch.rot90(logits.flip(-1) if flipped else logits, -turns, (-2, -1)))
    return torch.stack(looks)


def _of_mean(logits: Tensor, exclusive: bool) -> Tensor:
    """Return the logits (B, C, S, S) of the mean probability of looks (8, B, C, S, S)."""
    return logits_of((logits.softmax(2) if exclusive else logits.sigmoid()).mean(0), exclusive)
