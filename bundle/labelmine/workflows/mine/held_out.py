"""Gold that a student never saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labelmine.labelers import Labeler
from labelmine.networks import StudentNetwork


@dataclass(frozen=True)
class HeldOut:
    """Gold to examine a labeler on.

    Attributes:
        student: Never saw it.
        batches: Plain views of it.
        labeler: Is examined on it, and has learnt nothing from it either; None: whoever is examined on all.
    """

    student: StudentNetwork
    batches: Iterable[Mapping[str, Any]]
    labeler: Labeler | None = None
