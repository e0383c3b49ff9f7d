"""Self-training: the student's confident pixels are the label."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.labelers import Labeler, Reason, Refusal, SelfLabeler

SIDE = 16


def answering(probability: Tensor) -> object:
    return lambda _: probability.logit(eps=1e-6)


def example() -> Tensor:
    probability = torch.full((2, 1, SIDE, SIDE), 0.05)
    probability[0, 0, 2:10, 2:10] = 0.9
    probability[0, 0, 10:12, 2:10] = 0.6
    return probability


def test_follows_the_protocol() -> None:
    assert isinstance(SelfLabeler(), Labeler)


def test_mask_weight_and_score_come_from_the_students_confidence() -> None:
    answer = SelfLabeler(confidence=0.8)({"image": torch.zeros(2, 3, SIDE, SIDE)}, answering(example()))  # type: ignore[arg-type]
    assert torch.equal(answer.mask, (example() > 0.5).float())
    assert (answer.weight[0, 0, 2:10, 2:10] == 1).all()
    assert (answer.weight[0, 0, 10:12, 2:10] == 0).all()
    assert answer.weight[0].sum() == SIDE * SIDE - 16
    assert answer.score[0].item() == pytest.approx((64 * 0.9 + 16 * 0.6) / 80, abs=1e-5)
    assert answer.accepted.tolist() == [True, False]
    assert (answer.weight[1] == 0).all()
    assert answer.refusal == [None, Refusal(Reason.UNSURE)]
    assert answer.prompts == [[], []]
    assert answer.source["labeler"] == "self"


def test_doubt_in_one_class_makes_the_pixel_abstain() -> None:
    probability = torch.full((1, 2, SIDE, SIDE), 0.05)
    probability[0, 0, :8] = 0.95
    probability[0, 1, :, :8] = 0.4
    answer = SelfLabeler()({"image": torch.zeros(1, 3, SIDE, SIDE)}, answering(probability))  # type: ignore[arg-type]
    assert (answer.weight[..., :8] == 0).all()
    assert (answer.weight[..., 8:] == 1).all()


def test_padding_holds_no_label() -> None:
    weight = torch.zeros(1, 1, SIDE, SIDE)
    weight[..., :8] = 1
    batch = {"image": torch.zeros(1, 3, SIDE, SIDE), "weight": weight}
    answer = SelfLabeler()(batch, answering(torch.full((1, 1, SIDE, SIDE), 0.9)))  # type: ignore[arg-type]
    assert torch.equal(answer.mask, weight)


def test_unsure_students_are_not_believed() -> None:
    answer = SelfLabeler(min_score=0.95)({"image": torch.zeros(2, 3, SIDE, SIDE)}, answering(example()))  # type: ignore[arg-type]
    assert answer.accepted.tolist() == [False, False]
    assert (answer.weight == 0).all()


@pytest.mark.parametrize(
    ("knob", "value", "range_"),
    [("confidence", 0.4, r"\[0.5, 1\]"), ("confidence", 1.1, r"\[0.5, 1\]"), ("min_score", 2, r"\[0, 1\]")],
)
def test_thresholds_out_of_range_are_refused(knob: str, value: float, range_: str) -> None:
    with pytest.raises(ConfigError, match=f"{knob}: expected a number in {range_}. Got: {value}"):
        SelfLabeler(**{knob: value})  # type: ignore[arg-type]


def test_soft_masks_are_the_probabilities() -> None:
    answer = SelfLabeler(soft=True)({"image": torch.zeros(2, 3, SIDE, SIDE)}, answering(example()))  # type: ignore[arg-type]
    torch.testing.assert_close(answer.mask, example())
