"""Self-training: the student's own confident prediction is the pseudo label. No teacher; the fallback of mining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.prediction import predict
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.networks import StudentNetwork
from labelmine.ranges import check_number


class SelfLabeler(Labeler):
    """Label images with the student itself.

    An image's score is the mean confidence ``max(p, 1 - p)`` over the pixels of its predicted foreground.

    Args:
        exclusive: Whether the student's classes exclude each other (softmax).
        confidence: Pixels whose ``max(p, 1 - p)`` is lower get weight 0.
        min_score: Labels below this score are not accepted.
        soft: Whether masks are the student's probabilities rather than 0 and 1 (mean teacher).

    Raises:
        ConfigError: When a threshold is out of its range.
    """

    name = "self"

    def __init__(
        self, exclusive: bool = False, confidence: float = 0.8, min_score: float = 0.5, soft: bool = False
    ) -> None:
        """Check and keep the knobs."""
        check_number("confidence", confidence, 0.5, 1)
        check_number("min_score", min_score, 0, 1)
        self.exclusive = exclusive
        self.confidence = confidence
        self.min_score = min_score
        self.soft = soft

    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``."""
        return self.label(predict(student, batch, self.exclusive))

    def label(self, probability: Tensor) -> PseudoLabel:
        """Label images by the student's answer to them, (B, K, H, W) in [0, 1]."""
        certainty = torch.maximum(probability, 1 - probability).amin(1, keepdim=True)
        foreground = (probability > 0.5).any(1, keepdim=True)
        score = _mean_inside(certainty, foreground)
        found = foreground.flatten(1).any(1)
        accepted = found & (score >= self.min_score)
        return PseudoLabel(
            mask=probability if self.soft else (probability > 0.5).float(),
            weight=(certainty >= self.confidence).float() * accepted.reshape(-1, 1, 1, 1),
            score=score,
            accepted=accepted,
            refusal=[None if a else Refusal(Reason.UNSURE) for a in accepted],
            source=self.source,
            prompts=[[] for _ in accepted],
            student=probability,
        )


def _mean_inside(value: Tensor, where: Tensor) -> Tensor:
    return (value * where).sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp(min=1)
