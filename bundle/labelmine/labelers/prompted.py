"""Knowledge mining (S1): the student prompts a frozen teacher, and the teacher's answer is the pseudo label."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

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
#: Thresholds of a predicted IoU that held-out gold chooses among; SAM's mask generator takes 0.88.
MIN_IOUS = (0.0, 0.5, 0.6, 0.7, 0.8)


class _Objects(NamedTuple):
    """What a teacher answered to N prompts: once to them, and once to them moved a little (None: not asked)."""

    prompts: Prompts
    answer: TeacherMasks
    moved: TeacherMasks | None

    def selected(self, rows: Tensor) -> _Objects:
        """Return some of the objects."""
        moved = None if self.moved is None else _selected(self.moved, rows)
        return _Objects(self.prompts.selected(rows), _selected(self.answer, rows), moved)


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
        min_iou: Objects of a lower predicted IoU are left out: where a prompt lies beside every lesion, the teacher
            draws something all the same, and says here that it does not trust it. None: what held-out gold chooses of
            ``MIN_IOUS`` (see ``answers``), 0 until it has chosen.
        jitter: How far prompts are moved for the signal ``jitter``, as a fraction of the object's side (the root of its
            area); 0: not at all, which spares a second decoding.

    Raises:
        ConfigError: When ``min_score``, ``min_iou`` or ``jitter`` is outside [0, 1].
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
        min_iou: float | None = 0.0,
    ) -> None:
        """Check and keep the knobs."""
        check_number("min_score", min_score, 0, 1)
        check_number("jitter", jitter, 0, 1)
        if min_iou is not None:
            check_number("min_iou", min_iou, 0, 1)
        self.teacher = teacher
        self.prompts = prompts or PromptGenerator()
        self.exclusive = exclusive
        self.min_score = min_score
        self.weighted = weighted
        self.jitter = jitter
        self.min_iou = min_iou or 0.0
        self._settings = MIN_IOUS if min_iou is None else (min_iou,)

    def with_teacher(self, teacher: Teacher) -> Self:
        """Return a labeler that asks another teacher the same."""
        other = copy.copy(self)
        other.teacher = teacher
        return other

    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``."""
        return self.label(batch, predict(student, batch, self.exclusive))

    def label(self, batch: Mapping[str, Any], probability: Tensor) -> PseudoLabel:
        """Label a batch to which the student has answered (B, K, H, W) in [0, 1]."""
        return self._labels(batch, probability, [self.min_iou])[self.min_iou]

    def answers(self, batch: Mapping[str, Any], student: StudentNetwork) -> dict[float, PseudoLabel]:
        """Label a batch under each ``min_iou`` that may be chosen; student and teacher are asked once."""
        return self._labels(batch, predict(student, batch, self.exclusive), self._settings)

    def choose(self, setting: float) -> None:
        """Take a ``min_iou`` up, unless one was given."""
        if len(self._settings) > 1:
            self.min_iou = setting

    @torch.no_grad()
    def _labels(
        self, batch: Mapping[str, Any], probability: Tensor, thresholds: Sequence[float]
    ) -> dict[float, PseudoLabel]:
        objects = self._ask(batch, self.prompts(probability).rounded())  # what is asked is what the record holds
        return {
            threshold: self._label(batch, probability, objects, objects.answer.predicted_iou >= threshold)
            for threshold in thresholds
        }

    def _ask(self, batch: Mapping[str, Any], asked: Prompts) -> _Objects:
        """Return the teacher's answers to all prompts of a batch."""
        images: Tensor = batch["image"]
        size = (images.shape[-2], images.shape[-1])
        if not len(asked):
            nothing = TeacherMasks(images.new_zeros(0, *size), images.new_zeros(0))
            return _Objects(asked, nothing, nothing if self.jitter else None)
        embeddings = self.teacher.encode(teacher_images(batch))
        answer = self.teacher.decode(embeddings, asked, size)
        if not self.jitter:
            return _Objects(asked, answer, None)
        side = (answer.logits > 0).sum((-2, -1)).float().sqrt()
        moved = jittered(asked, side, self.jitter, size)
        return _Objects(asked, answer, self.teacher.decode(embeddings, moved, size))

    def _label(self, batch: Mapping[str, Any], probability: Tensor, every: _Objects, trusted: Tensor) -> PseudoLabel:
        """Return the label that the trusted objects make."""
        images: Tensor = batch["image"]
        objects = every.selected(trusted)
        mask, signals = self._united(batch, objects, probability)
        found, prompted = (_images_of(prompts, len(images)) for prompts in (every.prompts, objects.prompts))
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
            refusal=[self._refusal(*row) for row in zip(found, prompted, score, accepted, strict=True)],
            source=self.source,
            prompts=[objects.prompts.of_image(i) for i in range(len(images))],
            signals=signals,
            student=probability,
        )

    def _united(
        self, batch: Mapping[str, Any], objects: _Objects, probability: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return united masks (B, K, H, W) in [0, 1] and the signals (B,) of each image."""
        asked, answer = objects.prompts, objects.answer
        inside = batch["weight"] > 0 if "weight" in batch else torch.ones_like(probability[:, :1], dtype=torch.bool)
        shape = (probability.shape[0], probability.shape[1])
        mask = united(answer, asked, shape, self.exclusive) * inside
        count = torch.bincount(asked.image_index, minlength=len(probability)).clamp(min=1)
        per_object = {"predicted_iou": answer.predicted_iou.float(), "stability": _stability(answer.logits)}
        signals = {
            name: torch.zeros(len(probability)).to(value).index_add(0, asked.image_index, value) / count
            for name, value in per_object.items()
        }
        if objects.moved is not None:
            other = united(objects.moved, asked, shape, self.exclusive) * inside
            signals["jitter"] = agreement(mask, other)
        return mask, signals

    def _refusal(self, found: Tensor, prompted: Tensor, score: Tensor, accepted: Tensor) -> Refusal | None:
        if accepted:
            return None
        if not prompted:
            return Refusal(Reason.NO_SURE_OBJECT if found else Reason.NO_PROMPT)
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


def _selected(answer: TeacherMasks, rows: Tensor) -> TeacherMasks:
    return TeacherMasks(answer.logits[rows], answer.predicted_iou[rows])


def _images_of(prompts: Prompts, count: int) -> Tensor:
    """Return (B,) which images of a batch have a prompt."""
    return torch.bincount(prompts.image_index, minlength=count) > 0


def _stability(logits: Tensor) -> Tensor:
    """Return (N,) the IoU of masks cut above and below the boundary; 0 for empty ones."""
    inner = (logits > STABILITY_OFFSET).sum((-2, -1)).float()
    return inner / (logits > -STABILITY_OFFSET).sum((-2, -1)).clamp(min=1)
