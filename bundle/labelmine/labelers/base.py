"""The labeler's protocol and its answer: images (and the student) in, pseudo labels out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

StudentNetwork = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class PseudoLabel:
    """Labels that a labeler proposes for a batch of B images with K classes.

    Attributes:
        mask: (B, K, H, W) float32 in [0, 1].
        weight: (B, 1, H, W) float32 in [0, 1], how much each pixel counts; 0 where it abstains.
        score: (B,) float32, expected Dice in [0, 1].
        accepted: (B,) bool, whether the label may train a student.
        reason: Why not, per image; empty where accepted.
        source: Labeler, teacher and weights' sha256, for the manifest.
        prompts: Per image, the JSON-able prompts that led to the label; empty lists for labelers without prompts.
        signals: What else speaks for or against a label, (B,) float32 by name; see ``labelmine.quality``.
        student: (B, K, H, W) float32 in [0, 1], what the student answered to the batch, where the labeler asked it; who
            needs it too need not ask again. None: the labeler did not ask.
        drawn_by: Per image who drew each class, where that may differ: ``labeler``, ``student``, ``blend`` or ``none``.
    """

    mask: Tensor
    weight: Tensor
    score: Tensor
    accepted: Tensor
    reason: list[str]
    source: dict[str, str]
    prompts: list[list[dict[str, Any]]]
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    student: Tensor | None = None
    drawn_by: list[str] | None = None


@runtime_checkable
class Labeler(Protocol):
    """Anything that labels a batch; all labelers are interchangeable in every workflow.

    A labeler that depends on more of the student than its answer to the batch has a method ``prepare(student)`` too,
    which is called before all images are labelled and, in continuous labelling, at the start of each epoch.
    """

    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label ``batch["image"]`` (B, 3, H, W), float32 in [0, 1].

        Args:
            batch: Plain (not augmented) views; ``weight`` (B, 1, H, W), where present, is 0 in the padding.
            student: Network that maps images to logits, in whatever mode; the labeler evaluates it without gradients.
        """
        ...
