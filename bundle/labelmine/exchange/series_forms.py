"""Files of the masks of a DICOM series: what all their forms have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from labelmine.exchange.dicom_stacks import Stack
from labelmine.exchange.drawn_by import Algorithm
from labelmine.exchange.identity import Identity
from labelmine.exchange.segment_terms import SegmentTerms


class SeriesForm(ABC):
    """A form of the masks of a stack of DICOM images.

    Class attributes:
        name: What people call it.
        suffix: Of its files.

    Args:
        folder: Where its files are written.
        names: Names of the classes.
        identity: Whose they are to be.
    """

    name: ClassVar[str]
    suffix: ClassVar[str] = ".dcm"
    fractional = False  # whether it holds probabilities

    def __init__(self, folder: Path, names: Sequence[str], identity: Identity) -> None:
        """Keep them."""
        self.folder = folder
        self.names = names
        self.identity = identity

    def path(self, stack: Stack) -> Path:
        """File of a stack: the Series Instance UID of its images, and its number where the series has several."""
        number = "" if stack.is_only else f"_{stack.number}"
        return self.folder / f"{self.identity.uid(stack.series)}{number}{self.suffix}"

    def refusal(self, stack: Stack) -> str | None:
        """Say why a stack cannot have this form; None: it can."""
        return None

    @abstractmethod
    def is_current(self, stack: Stack) -> bool:
        """Whether an earlier run has written the file, of these images."""

    @abstractmethod
    def build(self, stack: Stack, masks: NDArray[Any]) -> bytes:
        """Return the file's content; ``masks`` (N, H, W, K), bool or, where ``fractional``, float32 in [0, 1]."""


class DicomForm(SeriesForm):
    """A form that is DICOM itself.

    Args:
        folder: Where its files are written.
        names: Names of the classes.
        identity: Whose they are to be.
        terms: Coded terms of the classes.
        algorithm: Who drew the masks.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        identity: Identity,
        terms: Sequence[SegmentTerms],
        algorithm: Algorithm,
    ) -> None:
        """Keep them."""
        super().__init__(folder, names, identity)
        self.terms = terms
        self.algorithm = algorithm

    @abstractmethod
    def images_of(self, path: Path) -> set[str]:
        """SOP Instance UIDs that a file of this form lists."""

    def is_current(self, stack: Stack) -> bool:
        """Whether the file is there, and of these images."""
        path = self.path(stack)
        wanted = {self.identity.uid(frame.instance) for frame in stack.frames}
        return path.is_file() and self.images_of(path) == wanted
