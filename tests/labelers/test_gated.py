"""Who draws, who abstains, and how much a label counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from labelmine.errors import ConfigError, DataError
from labelmine.labelers import GatedLabeler, Labeler, PseudoLabel, Reason, Refusal
from labelmine.quality import AreaRange, ExpectedDice, Gate, Verdict

SIDE = 16
SIZES = {"small": 0.0, "large": 0.1}


def square(start: int, end: int) -> Tensor:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, start:end, start:end] = 1
    return mask


class Fixed(Labeler):
    """A labeler with one answer, which counts how often it was asked."""

    def __init__(self, mask: Tensor, refusal: Refusal | None = None, score: float = 0.9) -> None:
        self.mask, self.refusal, self.score = mask, refusal, score
        self.asked = 0
        self.prepared: list[Any] = []

    def prepare(self, student: Any) -> None:
        self.prepared.append(student)

    def __call__(self, batch: Mapping[str, Any], student: Any) -> PseudoLabel:
        self.asked += 1
        count = len(batch["image"])
        return PseudoLabel(
            mask=self.mask.expand(count, -1, -1, -1),
            weight=torch.ones(count, 1, SIDE, SIDE),
            score=torch.full((count,), self.score),
            accepted=torch.full((count,), self.refusal is None),
            refusal=[self.refusal] * count,
            source={"labeler": "fixed", "teacher": "", "teacher_sha256": ""},
            prompts=[[] for _ in range(count)],
            signals={"known": torch.full((count,), 0.5)},
        )


def student_of(probability: Tensor) -> Any:
    return lambda images: probability.expand(len(images), -1, -1, -1).logit(eps=1e-6)


def verdict(
    small: str = "labeler", large: str = "labeler", learnt: ExpectedDice | None = None, empty_dice: float = 0.0
) -> Verdict:
    gate = Gate(class_names=("a",), size_from=SIZES, choices=({"small": small, "large": large},))  # type: ignore[dict-item]
    area = AreaRange((0.0,), (1.0,))
    return Verdict(gate=gate, expected_dice=learnt, area_range=area, source={}, empty_dice=empty_dice)


def batch(count: int = 2) -> dict[str, Any]:
    return {"image": torch.rand(count, 3, SIDE, SIDE), "weight": torch.ones(count, 1, SIDE, SIDE), "id": ["x"] * count}


def test_it_is_a_labeler_and_hands_the_labeler_s_mask_on_where_that_is_better() -> None:
    labeler = Fixed(square(4, 12))
    gated = GatedLabeler(labeler, verdict())
    assert isinstance(gated, Labeler)
    label = gated(batch(), student_of(0.9 * square(6, 14)))
    assert torch.equal(label.mask, labeler.mask.expand(2, -1, -1, -1))
    assert label.score.tolist() == pytest.approx([0.9, 0.9])
    assert label.weight.unique().tolist() == pytest.approx([0.9])
    assert (label.drawn_by, label.refusal) == ([["labeler"]] * 2, [None, None])
    assert {"known", "student_dice", "area_fit"} <= set(label.signals)


def test_the_student_s_own_mask_counts_where_it_is_sure() -> None:
    probability = 0.95 * square(4, 12)
    probability[:, 4, 4] = 0.6
    labeler = Fixed(square(0, 2))
    label = GatedLabeler(labeler, verdict("student", "student"))(batch(1), student_of(probability))
    assert labeler.asked == 0  # nothing is asked whose answer will not be used
    assert torch.equal(label.mask[0] > 0.5, probability > 0.5)
    assert label.weight[0, 0, 4, 4] == 0
    assert label.weight[0, 0, 6, 6] == label.score[0] > 0.8
    assert label.source["labeler"] == "self"
    assert label.drawn_by == [["student"]]


def test_without_a_fallback_nothing_is_labelled_there() -> None:
    gated = GatedLabeler(Fixed(square(0, 2)), verdict("student", "student"), fallback="none")
    label = gated(batch(1), student_of(0.9 * square(4, 12)))
    assert not label.accepted.any()
    assert label.refusal == [Refusal(Reason.NOTHING_FOUND)]
    assert label.weight.max() == 0


def test_size_decides_by_what_the_student_found() -> None:
    gated = GatedLabeler(Fixed(square(0, 4)), verdict("labeler", "student"))
    assert gated(batch(1), student_of(0.9 * square(2, 4))).drawn_by == [["labeler"]]
    assert gated(batch(1), student_of(0.9 * square(2, 12))).drawn_by == [["student"]]


def test_expected_dice_decides_what_is_used_and_how_much_it_counts() -> None:
    learnt = ExpectedDice(names=("student_dice",), weights=(1.0,), x=(0.0, 1.0), y=(0.1, 0.7))
    student = student_of(0.9 * square(4, 12))
    alike = GatedLabeler(Fixed(square(4, 12)), verdict(learnt=learnt), min_score=0.5)(batch(1), student)
    assert alike.score.tolist() == pytest.approx([0.7])
    assert alike.weight.max().item() == pytest.approx(0.7)
    full = GatedLabeler(Fixed(square(4, 12)), verdict(learnt=learnt), weighted=False)(batch(1), student)
    assert full.weight.unique().tolist() == [1]
    apart = GatedLabeler(Fixed(square(0, 3)), verdict(learnt=learnt), min_score=0.5)(batch(1), student)
    assert apart.refusal == [Refusal.low_score(0.1, 0.5)]
    assert apart.weight.max() == 0


@pytest.mark.parametrize(
    ("refusal", "used"),
    [
        (Refusal(Reason.EMPTY_MASK), False),
        (Refusal(Reason.OTHER, "score board: no lesion, says the radiologist"), False),
        (Refusal.low_score(0.1, 0.5), True),
        (Refusal(Reason.LOW_SCORE, "niedriger Wert"), True),
    ],
)
def test_what_the_labeler_refuses_stays_refused_but_for_its_own_score(refusal: Refusal, used: bool) -> None:
    label = GatedLabeler(Fixed(square(4, 12), refusal), verdict())(batch(1), student_of(0.9 * square(4, 12)))
    assert label.accepted.tolist() == [used]
    assert label.refusal == [None if used else refusal]


def test_pixels_and_components_abstain() -> None:
    mask = square(4, 8) + square(12, 15)
    student = student_of(0.9 * square(5, 9))
    label = GatedLabeler(Fixed(mask), verdict(), min_support=0.2, disagreement=0.5)(batch(1), student)
    weight = label.weight[0, 0]
    assert weight[13, 13] == 0  # a component that the student sees nothing of
    assert weight[4, 4] == weight[8, 8] == pytest.approx(0.45)  # the two differ
    assert weight[6, 6] == weight[0, 0] == pytest.approx(0.9)


@pytest.mark.parametrize(("empty_dice", "used"), [(0.0, False), (0.4, False), (0.9, True)])
@pytest.mark.parametrize("refusal", [None, Refusal(Reason.NO_PROMPT)])
def test_an_empty_label_is_used_where_gold_says_that_it_is_mostly_right(
    empty_dice: float, used: bool, refusal: Refusal | None
) -> None:
    probability = torch.zeros(1, SIDE, SIDE)
    probability[:, 2, 2] = 0.4
    gated = GatedLabeler(Fixed(torch.zeros(1, SIDE, SIDE), refusal), verdict(empty_dice=empty_dice))
    label = gated(batch(1), student_of(probability))
    assert label.accepted.tolist() == [used]
    assert label.mask.max() == 0
    assert label.score.tolist() == pytest.approx([empty_dice])
    assert label.weight.max().item() == pytest.approx(empty_dice if used else 0)
    assert label.weight[0, 0, 2, 2] == 0  # the student is not sure that nothing is there


def test_padding_never_counts() -> None:
    views = batch(1)
    views["weight"][..., 10:] = 0
    label = GatedLabeler(Fixed(square(4, 12)), verdict())(views, student_of(0.9 * square(4, 12)))
    assert label.weight[..., 10:].max() == 0


def test_the_labeler_takes_the_student_up_only_if_it_will_be_asked() -> None:
    needed, spared = Fixed(square(0, 2)), Fixed(square(0, 2))
    GatedLabeler(needed, verdict()).prepare("student")  # type: ignore[arg-type]
    GatedLabeler(spared, verdict("student", "student")).prepare("student")  # type: ignore[arg-type]
    assert (needed.prepared, spared.prepared) == (["student"], [])


def test_the_verdict_may_come_later_and_from_a_file(tmp_path: Path) -> None:
    gated = GatedLabeler(Fixed(square(4, 12)), tmp_path / "gate.json")
    with pytest.raises(DataError, match=r"gate\.json: no verdict of the gate can be read there"):
        gated(batch(1), student_of(square(4, 12)))
    learnt = ExpectedDice(names=("student_dice",), weights=(1.0,), x=(0.0, 1.0), y=(0.1, 0.7))
    verdict(learnt=learnt).save(tmp_path / "gate.json")
    assert gated.verdict == verdict(learnt=learnt)
    assert gated(batch(1), student_of(0.9 * square(4, 12))).score.tolist() == pytest.approx([0.7])


def test_a_verdict_about_another_labeler_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    replace(verdict(), source=Fixed(square(0, 2)).source).save(path)
    assert GatedLabeler(Fixed(square(0, 2)), path).verdict.source["labeler"] == "Fixed"
    replace(verdict(), source={"labeler": "prompted", "teacher": "sam", "teacher_sha256": "1"}).save(path)
    with pytest.raises(
        ConfigError,
        match=r"gate\.json: expected a verdict about this labeler, {'labeler': 'Fixed', 'teacher': ''",
    ):
        GatedLabeler(Fixed(square(0, 2)), path)(batch(1), student_of(square(0, 2)))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"fallback": "teacher"}, "fallback: expected 'self' or 'none'. Got: 'teacher'"),
        ({"confidence": 0.4}, r"confidence: expected a number in \[0.5, 1\]. Got: 0.4"),
        ({"min_support": 2}, r"min_support: expected a number in \[0, 1\]. Got: 2"),
        ({"disagreement": -1}, r"disagreement: expected a number in \[0, 1\]. Got: -1"),
        ({"min_score": 1.5}, r"min_score: expected a number in \[0, 1\]. Got: 1.5"),
    ],
)
def test_wrong_knobs(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GatedLabeler(Fixed(square(0, 2)), verdict(), **knobs)
