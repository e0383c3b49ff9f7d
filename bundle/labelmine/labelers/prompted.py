"""Knowledge mining (S1): the student prompts a frozen teacher, and the teacher's answer is the pseudo label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.labelers.base import PseudoLabel, StudentNetwork
from labelmine.labelers.prediction import predict
from labelmine.prompts import PromptGenerator, Prompts
from labelmine.quality import agreement
from labelmine.teachers import Teacher

NO_PROMPT = "no prompt: the student found nothing"


class PromptedLabeler:
    """Label images with a promptable teacher.

    The answers for all objects of a class are united. An image's score is its expected Dice before calibration: the
    mean of the teacher's predicted IoU (as Dice, ``2 i / (1 + i)``) and of the Dice between student and teacher. An
    image in which the student finds nothing brings no prompt and abstains.

    Args:
        teacher: The frozen teacher.
        prompts: What to ask; S1's points and box per connected component by default.
        exclusive: Whether classes exclude each other (softmax student): a pixel then goes to its likeliest class.
        min_score: Labels below this score are not accepted.
        weighted: Whether a label counts by its score; otherwise accepted labels count fully.

    Raises:
        ValueError: When ``min_score`` is outside [0, 1].
    """

    def __init__(
        self,
        teacher: Teacher,
        prompts: PromptGenerator | None = None,
        exclusive: bool = False,
        min_score: float = 0.5,
        weighted: bool = True,
    ) -> None:
        """Check and keep the knobs."""
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score: expected an expected Dice in [0, 1]. Got: {min_score}")
        self.teacher = teacher
        self.prompts = prompts or PromptGenerator()
        self.exclusive = exclusive
        self.min_score = min_score
        self.weighted = weighted

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``."""
        images: Tensor = batch["image"]
        probability = predict(student, batch, self.exclusive)
        asked = self.prompts(probability)
        mask, predicted_dice = self._answer(images, asked, probability)
        if "weight" in batch:
            mask = mask * (batch["weight"] > 0)
        prompted = torch.bincount(asked.image_index, minlength=len(images)) > 0
        score = torch.where(prompted, (predicted_dice + agreement(mask, probability)) / 2, 0.0)
        accepted = prompted & (score >= self.min_score) & (mask > 0.5).flatten(1).any(1)
        weight = torch.where(accepted, score if self.weighted else torch.ones_like(score), 0.0)
        return PseudoLabel(
            mask=mask,
            weight=weight.reshape(-1, 1, 1, 1).expand(-1, 1, *images.shape[-2:]),
            score=score,
            accepted=accepted,
            reason=[self._reason(p, s, a) for p, s, a in zip(prompted, score, accepted, strict=True)],
            source={
                "labeler": "prompted",
                "teacher": self.teacher.name,
                "teacher_sha256": self.teacher.weights_sha256,
            },
            prompts=[asked.of_image(i) for i in range(len(images))],
        )

    def _answer(self, images: Tensor, asked: Prompts, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Return united masks (B, K, H, W) in [0, 1] and the mean predicted Dice (B,) of each image's objects."""
        mask = torch.zeros_like(probability)
        predicted = torch.zeros(len(images), device=images.device)
        if not len(asked):
            return mask, predicted
        answer = self.teacher.decode(self.teacher.encode(images), asked, (images.shape[-2], images.shape[-1]))
        objects = answer.logits.float().sigmoid()
        flat = mask.flatten(0, 1)
        place = asked.image_index * probability.shape[1] + asked.class_index
        where = place.reshape(-1, 1, 1).expand_as(objects)
        mask = flat.scatter_reduce(0, where, objects, "amax").reshape(mask.shape)
        iou = answer.predicted_iou.float()
        count = torch.bincount(asked.image_index, minlength=len(images)).clamp(min=1)
        predicted = predicted.index_add(0, asked.image_index, 2 * iou / (1 + iou)) / count
        if self.exclusive:
            mask = mask * F.one_hot(mask.argmax(1), mask.shape[1]).movedim(-1, 1)  # one class even among equal ones
        return mask, predicted

    def _reason(self, prompted: Tensor, score: Tensor, accepted: Tensor) -> str:
        if accepted:
            return ""
        if not prompted:
            return NO_PROMPT
        if score < self.min_score:
            return f"score {score:.2f} is below {self.min_score:g}"
        return "the teacher answered with an empty mask"
