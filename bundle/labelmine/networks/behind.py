"""Students that answer by means of another student: its mean over several looks, a file read late, a memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from torch import Tensor

StudentNetwork = Callable[[Tensor], Tensor]


class ClassStudent(Protocol):
    """A student that knows whether its classes exclude each other: torch's, or one that another program runs."""

    exclusive: bool

    def __call__(self, images: Tensor, /) -> Tensor:
        """Return logits of (B, 3, S, S) images in [0, 1]."""


class IndirectStudent(ABC):
    """A student with another one behind it, whose mode is switched and whose layers are looked at."""

    @property
    @abstractmethod
    def student(self) -> StudentNetwork:
        """The one behind."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Return logits of (B, 3, S, S) images in [0, 1]."""


def network_behind(student: StudentNetwork) -> StudentNetwork:
    """Return the student that is behind all others; a student with none behind it is that itself."""
    while isinstance(student, IndirectStudent):
        student = student.student
    return student
