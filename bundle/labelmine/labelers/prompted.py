"""Knowledge mining (S1): the student prompts a frozen teacher, and the teacher's answer is the pseudo label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.prediction import predict
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.networks import StudentNetwork
from labelmine.prompts import PromptGenerator, Prompts
from labelmine.prompts.jitter import jittered
from labelmine.quality import agreement
from labelmine.ranges import check_number
from labelmine.teachers import Teacher, TeacherMasks
from labelmine.transforms import teacher_images

STABILITY_OFFSET = 1.0  # segment-anything's SamAutomaticMaskGenerator


class PromptedLabeler(Labeler):
    """Label images with a promptable teacher.

    The answers for all objects of a class are united. An image's score is its expected Dice before calibration: the
    mean of the teacher's predicted IoU (as Dice, ``2 i / (1 + i)``) and of the Dice between student and teacher. An
    image in which the student finds nothing brings no prompt and abstains. Its signals (see ``labelmine.quality``) are
    ``predicted_iou``, ``stability`` (IoU of the masks at logits above 1 and above -1, as segment-anything has it; both
    mean over objects) and ``jitter`` (Dice of the label and the one for prompts moved a little).

    Args:
        teacher: The frozen teacher.
        prompts: What to ask; S1's points and box per connected component by default.
        exclusive: Whether classes exclude each other (softmax student): a pixel then goes to its likeliest class.
        min_score: Labels below this score are not accepted.
        weighted: Whether a label counts by its score; otherwise accepted labels count fully.
        jitter: How far prompts are moved for the signal ``jitter``, as a fraction of the object's side (the root of its
            area); 0: not at all, which spares a second decoding.

    Raises:
        ConfigError: When ``min_score`` or ``jitter`` is outside [0, 1].
    """

    name = "prompted"
    teacher: Teacher

    def __init__(
        self,
        teacher: Teacher,
        prompts: PromptGenerator | None = None,
        exclusive: bool = False,
        min_score: float = 0.5,
        weighted: bool = True,
        jitter: float = 0.0,
    ) -> None:
        """Check and keep the knobs."""
        check_number("min_score", min_score, 0, 1)
        check_number("jitter", jitter, 0, 1)
        self.teacher = teacher
        self.prompts = prompts or PromptGenerator()
        self.exclusive = exclusive
        self.min_score = min_score
        self.weighted = weighted
        self.jitter = jitter

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``."""
        images: Tensor = batch["image"]
        probability = predict(student, batch, self.exclusive)
        asked = self.prompts(probability).rounded()  # what is asked is what the record holds
        inside = batch["weight"] > 0 if "weight" in batch else torch.ones_like(images[:, :1], dtype=torch.bool)
        mask, signals = self._answer(batch, asked, probability, inside)
        prompted = torch.bincount(asked.image_index, minlength=len(images)) > 0
        iou = signals["predicted_iou"]
        predicted_dice = 2 * iou / (1 + iou)
        score = torch.where(prompted, (predicted_dice + agreement(mask, probability)) / 2, 0.0)
        accepted = prompted & (score >= self.min_score) & (mask > 0.5).flatten(1).any(1)
        weight = torch.where(accepted, score if self.weighted else torch.ones_like(score), 0.0)
        return PseudoLabel(
            mask=mask,
            weight=weight.reshape(-1, 1, 1, 1).expand(-1, 1, *images.shape[-2:]),
            score=score,
            accepted=accepted,
            refusal=[self._refusal(p, s, a) for p, s, a in zip(prompted, score, accepted, strict=True)],
            source=self.source,
            prompts=[asked.of_image(i) for i in range(len(images))],
            signals=signals,
            student=probability,
        )

    def _answer(
        self, batch: Mapping[str, Any], asked: Prompts, probability: Tensor, inside: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return united masks (B, K, H, W) in [0, 1] and the signals (B,) of each image."""
        images: Tensor = batch["image"]
        if not len(asked):
            names = ("predicted_iou", "stability", *(("jitter",) if self.jitter else ()))
            return torch.zeros_like(probability), {name: torch.zeros(len(images)).to(probability) for name in names}
        size = (images.shape[-2], images.shape[-1])
        embeddings = self.teacher.encode(teacher_images(batch))
        answer = self.teacher.decode(embeddings, asked, size)
        mask = self._united(answer, asked, probability) * inside
        count = torch.bincount(asked.image_index, minlength=len(images)).clamp(min=1)
        per_object = {"predicted_iou": answer.predicted_iou.float(), "stability": _stability(answer.logits)}
        signals = {
            name: torch.zeros(len(images)).to(value).index_add(0, asked.image_index, value) / count
            for name, value in per_object.items()
        }
        if self.jitter:
            side = (answer.logits > 0).sum((-2, -1)).float().sqrt()
            again = jittered(asked, side, self.jitter, size)
            other = self._united(self.teacher.decode(embeddings, again, size), again, probability)
            signals["jitter"] = agreement(mask, other * inside)
        return mask, signals

    def _united(self, answer: TeacherMasks, asked: Prompts, probability: Tensor) -> Tensor:
        return united(answer, asked, (probability.shape[0], probability.shape[1]), self.exclusive)

    def _refusal(self, prompted: Tensor, score: Tensor, accepted: Tensor) -> Refusal | None:
        if accepted:
            return None
        if not prompted:
            return Refusal(Reason.NO_PROMPT)
        if score < self.min_score:
            return Refusal.low_score(float(score), self.min_score)
        return Refusal(Reason.EMPTY_ANSWER)


def united(answer: TeacherMasks, asked: Prompts, shape: tuple[int, int], exclusive: bool) -> Tensor:
    """Return the union (B, K, H, W) in [0, 1] of a teacher's answers for all objects of an image's class.

    Args:
        answer: Logits (N, H, W) of the objects asked for.
        asked: Which image and class each object is of.
        shape: (B, K).
        exclusive: Whether classes exclude each other: a pixel then goes to its likeliest class.
    """
    objects = answer.logits.float().sigmoid()
    where = (asked.image_index * shape[1] + asked.class_index).reshape(-1, 1, 1).expand_as(objects)
    flat = objects.new_zeros(shape[0] * shape[1], *objects.shape[1:])
    mask = flat.scatter_reduce(0, where, objects, "amax").reshape(*shape, *objects.shape[1:])
    if exclusive:
        mask = mask * F.one_hot(mask.argmax(1), mask.shape[1]).movedim(-1, 1)  # one class even among equal ones
    return mask


def _stability(logits: Tensor) -> Tensor:
    """Return (N,) the IoU of masks cut above and below the boundary; 0 for empty ones."""
    inner = (logits > STABILITY_OFFSET).sum((-2, -1)).float()
    return inner / (logits > -STABILITY_OFFSET).sum((-2, -1)).clamp(min=1)
