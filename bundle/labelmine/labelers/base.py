"""The labeler's contract and its answer: images (and the student) in, pseudo labels out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from labelmine.labelers.refusal import Refusal
from labelmine.networks import StudentNetwork
from labelmine.quality import DrawnBy
from labelmine.teachers import Teacher


@dataclass(frozen=True, kw_only=True)
class PseudoLabel:
    """Labels that a labeler proposes for a batch of B images with K classes.

    Attributes:
        mask: (B, K, H, W) float32 in [0, 1].
        weight: (B, 1, H, W) float32 in [0, 1], how much each pixel counts; 0 where it abstains.
        score: (B,) float32, expected Dice in [0, 1].
        accepted: (B,) bool, whether the label may train a student.
        refusal: Why not, per image; None where accepted.
        source: Who labelled, as ``Labeler.source`` has it, for the manifest.
        prompts: Per image, the JSON-able prompts that led to the label; empty lists for labelers without prompts.
        signals: What else speaks for or against a label, (B,) float32 by name; see ``labelmine.quality``.
        student: (B, K, H, W) float32 in [0, 1], what the student answered to the batch, where the labeler asked it; who
            needs it too need not ask again. None: the labeler did not ask.
        drawn_by: Per image who drew each of the K classes; None: the labeler drew all.
    """

    mask: Tensor
    weight: Tensor
    score: Tensor
    accepted: Tensor
    refusal: list[Refusal | None]
    source: dict[str, str]
    prompts: list[list[dict[str, Any]]]
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    student: Tensor | None = None
    drawn_by: list[list[DrawnBy]] | None = None


class Labeler(ABC):
    """Anything that labels a batch; all labelers are interchangeable in every workflow.

    Only ``__call__`` has to be written; all else has a default that suits a labeler without a teacher, which looks at
    nothing but the batch and the student's answer to it.

    Attributes:
        name: Short name for records, for example ``prompted``; empty: the name of the class.
        teacher: The model that is asked for labels; None: none.
        looks_at_gold: Whether its answers to training gold say nothing, as it looks the masks up.
    """

    name: str = ""
    looks_at_gold: bool = False
    teacher: Teacher | None = None

    @abstractmethod
    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label ``batch["image"]`` (B, 3, H, W), float32 in [0, 1].

        Args:
            batch: Plain (not augmented) views; ``weight`` (B, 1, H, W), where present, is 0 in the padding.
            student: Network that maps images to logits, in whatever mode; the labeler evaluates it without gradients.
        """

    def answers(self, batch: Mapping[str, Any], student: StudentNetwork) -> dict[float, PseudoLabel]:
        """Label a batch once for each setting that held-out gold is to choose among; without any, once, under 0.

        A higher setting is a stricter one.
        """
        return {0.0: self(batch, student)}

    def choose(self, setting: float) -> None:  # noqa: B027  # as for prepare
        """Take up the setting that did best on held-out gold, a key of ``answers``."""

    def check(self, student: StudentNetwork) -> None:  # noqa: B027  # as for prepare
        """Refuse a kind of student that it cannot label with; asked of an untrained one, before any is trained."""

    def prepare(self, student: StudentNetwork) -> None:  # noqa: B027  # a default that does nothing, not an omission
        """Take up what depends on more of the student than its answer to a batch.

        Called before all images are labelled and, in continuous labelling, at the start of each epoch.
        """

    def knows(self, image_id: str) -> bool:
        """Whether there can be an answer to an image at all; recorded labels know only theirs."""
        return True

    @property
    def teacher_size(self) -> int | None:
        """Side in pixels of what its teacher sees, which views for it should hold; None: it needs no more than them."""
        return self.teacher.image_size if self.teacher else None

    @property
    def source(self) -> dict[str, str]:
        """Who labels, for records and for the gate: ``labeler``, ``teacher`` and ``teacher_sha256``.

        Where gold fitted the teacher, ``decoder_sha256`` too.
        """
        teacher = self.teacher
        fitted = {"decoder_sha256": teacher.decoder_sha256} if teacher and teacher.decoder_sha256 else {}
        return {
            "labeler": self.name or type(self).__name__,
            "teacher": teacher.name if teacher else "",
            "teacher_sha256": teacher.weights_sha256 if teacher else "",
            **fitted,
        }
