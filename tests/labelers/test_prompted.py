"""The prompted labeler with a teacher that answers boxes with boxes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labelmine.errors import ConfigError
from labelmine.labelers import Labeler, PromptedLabeler, PseudoLabel, Reason, Refusal
from labelmine.labelers.prediction import predict
from labelmine.labelers.prompted import MIN_IOUS
from labelmine.prompts import PromptGenerator, Prompts
from labelmine.quality import agreement
from labelmine.teachers import Teacher, TeacherMasks

SIDE = 32


class BoxTeacher(Teacher):
    """Answers every box with the box itself, filled."""

    name = "boxes"
    weights_sha256 = "abc"
    fingerprint = "box"

    def __init__(self, iou: float = 0.8, strength: float = 10.0) -> None:
        self.iou = iou
        self.strength = strength

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        assert prompts.boxes is not None
        logits = torch.full((len(prompts), *image_size), -abs(self.strength))
        for n, (x0, y0, x1, y1) in enumerate(prompts.boxes.int().tolist()):
            logits[n, y0:y1, x0:x1] = self.strength
        return TeacherMasks(logits, torch.full((len(prompts),), self.iou))


class Drawn(nn.Module):
    """A student that answers given probabilities, as logits."""

    def __init__(self, probability: Tensor) -> None:
        super().__init__()
        self.probability = probability
        self.modes: list[bool] = []

    def forward(self, image: Tensor) -> Tensor:
        self.modes.append(self.training)
        assert not torch.is_grad_enabled()
        return self.probability.logit(eps=1e-6)


def cross(probability: Tensor, x: int, y: int, arm: int = 5, value: float = 0.95) -> None:
    """Draw a cross into an (H, W) map: its outer box is larger than itself."""
    probability[y, x - arm : x + arm + 1] = value
    probability[y - arm : y + arm + 1, x] = value


def batch(count: int = 1) -> dict[str, Any]:
    return {"image": torch.rand(count, 3, SIDE, SIDE)}


def boxes_only(**knobs: Any) -> PromptGenerator:
    return PromptGenerator(["box"], **knobs)


def test_the_stub_and_the_labeler_follow_their_protocols() -> None:
    assert isinstance(BoxTeacher(), Teacher)
    assert isinstance(PromptedLabeler(BoxTeacher()), Labeler)


def test_objects_of_a_class_are_united_and_classes_kept_apart() -> None:
    probability = torch.full((2, 2, SIDE, SIDE), 0.01)
    cross(probability[0, 0], 6, 6)
    cross(probability[0, 0], 24, 20)
    cross(probability[0, 1], 8, 8)
    cross(probability[1, 1], 20, 12)
    answer = PromptedLabeler(BoxTeacher(), boxes_only())(batch(2), Drawn(probability))
    expected = torch.zeros(2, 2, SIDE, SIDE)
    expected[0, 0, 1:12, 1:12] = expected[0, 0, 15:26, 19:30] = 1
    expected[0, 1, 3:14, 3:14] = expected[1, 1, 7:18, 15:26] = 1
    assert torch.equal((answer.mask > 0.5).float(), expected)
    assert answer.mask.min() >= 0
    assert answer.mask.max() <= 1
    assert answer.weight.shape == (2, 1, SIDE, SIDE)
    assert [len(p) for p in answer.prompts] == [3, 1]
    assert answer.prompts[1] == [{"class": 1, "box": [15, 7, 26, 18]}]
    assert answer.source == {"labeler": "prompted", "teacher": "boxes", "teacher_sha256": "abc"}


def test_score_is_the_mean_of_predicted_dice_and_agreement() -> None:
    probability = torch.full((1, 1, SIDE, SIDE), 0.01)
    cross(probability[0, 0], 10, 10)
    answer = PromptedLabeler(BoxTeacher(iou=0.6), boxes_only(), min_score=0)(batch(), Drawn(probability))
    student, teacher = 21, 121
    expected = (2 * 0.6 / 1.6 + 2 * student / (student + teacher)) / 2
    assert answer.score.item() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(answer.weight, torch.tensor(expected, dtype=torch.float32))
    flat = PromptedLabeler(BoxTeacher(iou=0.6), boxes_only(), min_score=0, weighted=False)(batch(), Drawn(probability))
    assert (flat.weight == 1).all()


def test_image_without_a_prediction_abstains_and_leaves_the_others_alone() -> None:
    probability = torch.full((3, 1, SIDE, SIDE), 0.01)
    cross(probability[1, 0], 10, 10)
    answer = PromptedLabeler(BoxTeacher(), boxes_only(), min_score=0)(batch(3), Drawn(probability))
    assert answer.accepted.tolist() == [False, True, False]
    assert answer.score[[0, 2]].tolist() == [0, 0]
    assert answer.refusal == [Refusal(Reason.NO_PROMPT), None, Refusal(Reason.NO_PROMPT)]
    assert answer.weight.amax((1, 2, 3))[[0, 2]].tolist() == [0, 0]
    assert (answer.mask[[0, 2]] == 0).all()


def test_batch_without_any_prediction_needs_no_teacher() -> None:
    class Absent(BoxTeacher):
        def encode(self, images: Tensor) -> Tensor:
            raise AssertionError("nothing to ask")

    answer = PromptedLabeler(Absent())(batch(2), Drawn(torch.zeros(2, 1, SIDE, SIDE)))
    assert answer.accepted.tolist() == [False, False]
    assert answer.prompts == [[], []]


def test_low_scores_and_empty_answers_are_not_accepted_and_say_why() -> None:
    probability = torch.full((1, 1, SIDE, SIDE), 0.01)
    cross(probability[0, 0], 10, 10)
    student = Drawn(probability)
    low = PromptedLabeler(BoxTeacher(iou=0.1), boxes_only(), min_score=0.7)(batch(), student)
    assert low.refusal == [Refusal.low_score(low.score.item(), 0.7)]
    assert (low.weight == 0).all()
    empty = PromptedLabeler(BoxTeacher(strength=-10), boxes_only(), min_score=0.1)(batch(), student)
    assert empty.accepted.tolist() == [False]
    assert empty.refusal == [Refusal(Reason.EMPTY_ANSWER)]


def test_padding_is_never_labelled_nor_prompted() -> None:
    probability = torch.full((1, 1, SIDE, SIDE), 0.01)
    cross(probability[0, 0], 18, 10)
    cross(probability[0, 0], 10, 25)
    weight = torch.zeros(1, 1, SIDE, SIDE)
    weight[..., :20, :20] = 1

    class Generous(BoxTeacher):
        def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
            return TeacherMasks(torch.full((len(prompts), *image_size), 5.0), torch.ones(len(prompts)))

    answer = PromptedLabeler(Generous(), boxes_only())({**batch(), "weight": weight}, Drawn(probability))
    assert answer.prompts == [[{"class": 0, "box": [13, 5, 20, 16]}]]
    assert (answer.mask * (1 - weight) == 0).all()
    assert (answer.mask[..., :20, :20] > 0.5).all()


@pytest.mark.parametrize("strength", [2.0, 200.0])  # 200 saturates the sigmoid: both classes answer exactly 1
def test_exclusive_classes_do_not_overlap(strength: float) -> None:
    logits = torch.zeros(1, 3, SIDE, SIDE)
    logits[:, 0] = 5
    logits[:, 1, 4:16, 4:16] = 10
    logits[:, 2, 12:24, 12:24] = 11
    labeler = PromptedLabeler(BoxTeacher(strength=strength), boxes_only(min_size=1), exclusive=True)
    # The smaller box of class 1 makes the teacher claim pixels that class 2's box claims, too.
    logits[:, 1, 20, 4:16] = 10
    answer: PseudoLabel = labeler(batch(), lambda _: logits)
    claimed = (answer.mask > 0.5).sum(1)
    assert claimed.max() == 1
    assert (answer.mask > 0.5).any((2, 3)).all()


def test_scores_stay_in_their_range() -> None:
    probability = torch.rand(4, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    for iou in (0.0, 1.0):
        answer = PromptedLabeler(BoxTeacher(iou=iou), boxes_only())(batch(4), Drawn(probability))
        assert answer.score.min() >= 0
        assert answer.score.max() <= 1


@pytest.mark.parametrize("training", [True, False])
def test_the_students_mode_is_put_back_even_after_an_error(training: bool) -> None:
    student = Drawn(torch.full((1, 1, SIDE, SIDE), 0.01)).train(training)
    PromptedLabeler(BoxTeacher())(batch(), student)
    assert student.modes == [False]
    assert student.training == training
    student.probability = "broken"  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        predict(student, batch(), False)
    assert student.training == training


def test_agreement_is_the_dice_of_thresholded_masks() -> None:
    a, b = torch.zeros(3, 2, 4, 4), torch.zeros(3, 2, 4, 4)
    a[0, 0, :2] = 0.9
    b[0, 0, 1:3] = 0.6  # class 0: 2 * 4 / 16; class 1: both empty
    a[1, 0, 0, 0] = 0.9  # nothing in common
    assert agreement(a, b).tolist() == [0.75, 0.5, 1]


def test_min_score_outside_its_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"min_score: expected a number in \[0, 1\]. Got: 1.5"):
        PromptedLabeler(BoxTeacher(), min_score=1.5)


def test_what_is_asked_is_what_the_record_holds() -> None:
    """A margin makes boxes fractional; the recorded box must be the very box that the teacher saw."""

    class Listening(BoxTeacher):
        asked: list[Tensor]

        def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
            assert prompts.boxes is not None
            self.asked = [*prompts.boxes]
            return super().decode(embeddings, prompts, image_size)

    probability = torch.full((1, 1, SIDE, SIDE), 0.01)
    cross(probability[0, 0], 16, 16)
    teacher = Listening()
    answer = PromptedLabeler(teacher, boxes_only(margin=0.137))(batch(), Drawn(probability))
    recorded = Prompts.from_records(answer.prompts)
    assert recorded.boxes is not None
    assert torch.equal(recorded.boxes, torch.stack(teacher.asked))
    assert (recorded.boxes % 1 != 0).any()


def test_the_teacher_sees_its_own_view_and_answers_in_the_students() -> None:
    class Watched(BoxTeacher):
        def encode(self, images: Tensor) -> Tensor:
            self.seen = images
            return images

    probability, finer = torch.full((1, 1, SIDE, SIDE), 0.05), torch.randint(0, 256, (1, 3, 80, 80), dtype=torch.uint8)
    cross(probability[0, 0], 10, 12)
    teacher = Watched()
    batch = {"image": torch.rand(1, 3, SIDE, SIDE), "teacher_image": finer}
    label = PromptedLabeler(teacher)(batch, Drawn(probability))
    assert torch.equal((teacher.seen * 255).round().to(torch.uint8), finer)
    assert label.mask.shape == probability.shape
    assert label.accepted.all()


class DoubtingTeacher(BoxTeacher):
    """Trusts boxes on the left, and doubts those on the right."""

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        answer = super().decode(embeddings, prompts, image_size)
        assert prompts.boxes is not None
        return answer._replace(predicted_iou=torch.where(prompts.boxes[:, 0] < SIDE / 2, 0.9, 0.55))


def left_and_right() -> Tensor:
    probability = torch.full((3, 1, SIDE, SIDE), 0.01)
    cross(probability[0, 0], 7, 8)
    cross(probability[0, 0], 24, 20)
    cross(probability[1, 0], 24, 20)
    return probability


def test_objects_that_the_teacher_doubts_are_left_out() -> None:
    probability = left_and_right()
    every = PromptedLabeler(DoubtingTeacher(), boxes_only(), jitter=0.1)(batch(3), Drawn(probability))
    answer = PromptedLabeler(DoubtingTeacher(), boxes_only(), jitter=0.1, min_iou=0.7)(batch(3), Drawn(probability))
    assert [len(prompts) for prompts in every.prompts] == [2, 1, 0]
    assert [len(prompts) for prompts in answer.prompts] == [1, 0, 0], "a record must give the same label when replayed"
    assert torch.equal(answer.mask[0, 0, :, : SIDE // 2], every.mask[0, 0, :, : SIDE // 2])
    assert (answer.mask[0, 0, :, SIDE // 2 :] < 0.5).all()
    assert (every.mask[0, 0, :, SIDE // 2 :] > 0.5).any()
    assert answer.signals["predicted_iou"].tolist() == pytest.approx([0.9, 0, 0])
    assert answer.refusal == [None, Refusal(Reason.NO_SURE_OBJECT), Refusal(Reason.NO_PROMPT)]


def test_held_out_gold_may_choose_the_threshold_and_asks_once() -> None:
    student = Drawn(left_and_right())
    labeler = PromptedLabeler(DoubtingTeacher(), boxes_only(), min_iou=None)
    answers = labeler.answers(batch(3), student)
    assert list(answers) == list(MIN_IOUS)
    assert len(student.modes) == 1
    for threshold, answer in answers.items():
        labeler.choose(threshold)
        assert torch.equal(labeler(batch(3), student).mask, answer.mask)
    fixed = PromptedLabeler(DoubtingTeacher(), boxes_only(), min_iou=0.7)
    fixed.choose(0.0)
    assert list(fixed.answers(batch(3), student)) == [0.7]
    assert fixed.min_iou == 0.7, "what a user has said is not chosen anew"
