"""Any labeler, checked: the gate says who draws, the expected Dice whether a label is used and how much it counts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from skimage.measure import label as connected_components
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.prediction import predict_once
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.labelers.self_training import SelfLabeler
from labelmine.networks import StudentNetwork
from labelmine.quality import DrawnBy, Verdict, blended
from labelmine.ranges import check_number

logger = logging.getLogger(__name__)

Fallback = Literal["self", "none"]


class GatedLabeler(Labeler):
    """Label by what held-out gold says about a labeler.

    An empty label is used only if held-out gold says that it is mostly right, as in slices of volumes.

    Where the labeler drew better than the student on gold, its masks stand; elsewhere the student's own (``self``) or
    none. A label's score is its expected Dice; it is used from ``min_score`` on and counts by its score. The student's
    own pixels count only where it is sure, as in ``SelfLabeler``.

    Args:
        labeler: Who is examined.
        verdict: What was found on held-out gold, or the file that will hold it by the time that labels are asked for.
        exclusive: Whether classes exclude each other (softmax student).
        min_score: Labels of a lower expected Dice are not used.
        weighted: Whether a label counts by its expected Dice; otherwise accepted labels count fully.
        fallback: What becomes of classes that the student draws best: ``self`` takes its own masks, ``none`` nothing.
        confidence: The student's own pixels of a lower ``max(p, 1 - p)`` get weight 0.
        min_support: Connected components of a label in which the student's mean probability is lower get weight 0.
        disagreement: Weight in [0, 1] of pixels in which the label and the student's mask differ; 1: as all others.

    Raises:
        ConfigError: When a knob is out of its range.
    """

    def __init__(
        self,
        labeler: Labeler,
        verdict: Verdict | str | Path,
        exclusive: bool = False,
        min_score: float = 0.5,
        weighted: bool = True,
        fallback: Fallback = "self",
        confidence: float = 0.8,
        min_support: float = 0.0,
        disagreement: float = 1.0,
    ) -> None:
        """Check and keep the knobs; a file is read when it is first needed."""
        if fallback not in ("self", "none"):
            raise ConfigError(f"fallback: expected 'self' or 'none'. Got: '{fallback}'")
        check_number("confidence", confidence, 0.5, 1)
        for name, value in (("min_score", min_score), ("min_support", min_support), ("disagreement", disagreement)):
            check_number(name, value, 0, 1)
        self.labeler = labeler
        self.name = labeler.name
        self.teacher = labeler.teacher
        self.exclusive = exclusive
        self.min_score = min_score
        self.weighted = weighted
        self.fallback = fallback
        self.confidence = confidence
        self.min_support = min_support
        self.disagreement = disagreement
        self._verdict = verdict

    @property
    def verdict(self) -> Verdict:
        """What was found on held-out gold.

        Raises:
            DataError: When its file is missing or damaged.
            ConfigError: When it is about another labeler.
        """
        if not isinstance(self._verdict, Verdict):
            verdict, own = Verdict.load(Path(self._verdict)), self.source
            if verdict.source and dict(verdict.source) != own:
                raise ConfigError(
                    f"{Path(self._verdict).name}: expected a verdict about this labeler, {own}. Got one about "
                    f"{dict(verdict.source)}. Label with the labeler of that run, or without its gate (--gate false)."
                )
            self.labeler.choose(verdict.setting)
            self._verdict = verdict
        return self._verdict

    @property
    def source(self) -> dict[str, str]:
        """The labeler's."""
        return self.labeler.source

    def prepare(self, student: StudentNetwork) -> None:
        """Let the labeler take up the student, if it will be asked."""
        if self._asks_labeler:
            self.labeler.prepare(student)

    def knows(self, image_id: str) -> bool:
        """Whether the labeler does."""
        return self.labeler.knows(image_id)

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``."""
        answer = self.labeler(batch, student) if self._asks_labeler else None
        return self.judge(batch, answer, predict_once(student, batch, self.exclusive, answer))

    @torch.no_grad()
    def judge(self, batch: Mapping[str, Any], answer: PseudoLabel | None, probability: Tensor) -> PseudoLabel:
        """Label a batch to which labeler and student have answered.

        Args:
            batch: Plain views.
            answer: The labeler's; not looked at, and None will do, where the student draws everything.
            probability: (B, K, H, W) in [0, 1], the student's.
        """
        verdict = self.verdict
        inside = batch["weight"] > 0 if "weight" in batch else torch.ones_like(probability[:, :1], dtype=torch.bool)
        if answer is None or not self._asks_labeler:
            answer = SelfLabeler(self.exclusive, self.confidence, min_score=0.0).label(probability)
        masks = {
            DrawnBy.STUDENT: probability,
            DrawnBy.LABELER: answer.mask,
            DrawnBy.BLEND: blended(answer.mask, probability, self.exclusive),
        }
        drawn, sources = verdict.gate.draw(masks, inside)
        own = torch.tensor([[s == DrawnBy.STUDENT for s in image] for image in sources]).to(drawn.device)
        if self.fallback == "none":
            drawn = drawn * ~own[:, :, None, None]
        signals = verdict.signals(drawn, probability, answer.signals)
        found = (drawn > 0.5).flatten(1).any(1)
        score = torch.where(found, verdict.score(signals, answer.score), verdict.empty_dice)
        usable = torch.where(found, ~self._refused(answer, own), torch.full_like(found, verdict.empty_dice > 0))
        accepted = usable & (score >= self.min_score)
        trust = score if self.weighted else torch.ones_like(score)
        weight = (trust * accepted).reshape(-1, 1, 1, 1) * self._pixels(drawn, probability, own) * inside
        return PseudoLabel(
            mask=drawn,
            weight=weight,
            score=score,
            accepted=accepted,
            refusal=self._refusals(accepted, found, score, answer),
            source=answer.source,
            prompts=answer.prompts,
            signals=signals,
            student=probability,
            drawn_by=[list(map(self._artist, image)) for image in sources],
        )

    @property
    def _asks_labeler(self) -> bool:
        """Whether the labeler draws anything; otherwise the question is spared."""
        return bool(self.verdict.gate.chosen - {DrawnBy.STUDENT})

    def _artist(self, source: DrawnBy) -> DrawnBy:
        return DrawnBy.NOBODY if source == DrawnBy.STUDENT and self.fallback == "none" else source

    def _refused(self, answer: PseudoLabel, own: Tensor) -> Tensor:
        """Return (B,): what the labeler refuses for itself, other than for a low score, stays refused."""
        refused = torch.tensor([_stands(refusal) for refusal in answer.refusal]).to(own.device)
        return refused & ~own.all(1)

    def _pixels(self, drawn: Tensor, probability: Tensor, own: Tensor) -> Tensor:
        """Return (B, 1, H, W) in [0, 1]: which pixels abstain."""
        certainty = torch.maximum(probability, 1 - probability).amin(1, keepdim=True)
        empty = ~(drawn > 0.5).flatten(1).any(1)
        unsure = (own.all(1) | empty).reshape(-1, 1, 1, 1) & (certainty < self.confidence)
        weight = (~unsure).float()
        if self.disagreement < 1:
            differ = ((drawn > 0.5) != (probability > 0.5)).any(1, keepdim=True)
            weight = torch.where(differ, weight * self.disagreement, weight)
        return weight * ~self._unsupported(drawn, probability) if self.min_support else weight

    def _unsupported(self, drawn: Tensor, probability: Tensor) -> Tensor:
        """Return (B, 1, H, W) bool: components in which the student believes too little."""
        abstaining = torch.zeros_like(drawn, dtype=torch.bool)
        for b, k in torch.nonzero((drawn > 0.5).flatten(2).any(2)).tolist():
            parts = torch.from_numpy(connected_components((drawn[b, k] > 0.5).cpu().numpy(), connectivity=2))
            flat = parts.flatten().to(probability.device)
            support = torch.bincount(flat, weights=probability[b, k].flatten()) / torch.bincount(flat).clamp(min=1)
            weak = support < self.min_support
            weak[0] = False  # the background is no component
            abstaining[b, k] = weak[flat].reshape(parts.shape)
        return abstaining.any(1, keepdim=True)

    def _refusals(self, accepted: Tensor, found: Tensor, score: Tensor, answer: PseudoLabel) -> list[Refusal | None]:
        refusals: list[Refusal | None] = []
        for good, any_found, value, own in zip(accepted, found, score, answer.refusal, strict=True):
            if good:
                refusals.append(None)
            elif not any_found:
                refusals.append(own if _stands(own) else Refusal(Reason.NOTHING_FOUND))
            elif value < self.min_score:
                refusals.append(Refusal.low_score(float(value), self.min_score))
            else:
                refusals.append(own)
        return refusals


def _stands(refusal: Refusal | None) -> bool:
    """Whether a labeler's refusal holds whatever gold says of its scores."""
    return refusal is not None and refusal.reason is not Reason.LOW_SCORE
