from __future__ import annotations

import json

import pandas as pd
import pytest
import torch

from labelmine.errors import DataError
from labelmine.quality import Gate, blended, decide, uncompared_gate

SIZES = {"small": 0.0, "medium": 0.02, "large": 0.1}


def table(rows: list[tuple[str, float, float, float, float]], times: int = 25) -> pd.DataFrame:
    return pd.DataFrame(rows * times, columns=["class", "area", "student", "labeler", "blend"])


def test_the_best_source_draws_each_class() -> None:
    gate = decide(table([("lung", 0.3, 0.9, 0.7, 0.85), ("heart", 0.3, 0.5, 0.8, 0.6)]), ["lung", "heart"], SIZES)
    assert [set(choice.values()) for choice in gate.choices] == [{"student"}, {"labeler"}]
    assert gate.chosen == {"student", "labeler"}
    assert "lung: student 0.900, labeler 0.700, blend 0.850 (n = 25): student" in gate.sentence()


def test_sizes_decide_for_themselves_where_gold_has_enough_of_them() -> None:
    few_small = pd.concat([table([("a", 0.01, 0.2, 0.9, 0.3)], 5), table([("a", 0.3, 0.9, 0.7, 0.6)], 30)])
    assert decide(few_small, ["a"], SIZES).choices[0] == {"small": "student", "medium": "student", "large": "student"}
    many_small = pd.concat([table([("a", 0.01, 0.2, 0.9, 0.3)], 20), table([("a", 0.3, 0.95, 0.5, 0.7)], 60)])
    gate = decide(many_small, ["a"], SIZES)
    assert gate.choices[0] == {"small": "labeler", "medium": "student", "large": "student"}
    assert "labeler for small" in gate.sentence()


@pytest.mark.parametrize(
    ("labeler", "margin", "who"), [(0.7, 0.0, "student"), (0.72, 0.0, "labeler"), (0.72, 0.05, "student")]
)
def test_the_student_wins_ties_and_within_the_margin(labeler: float, margin: float, who: str) -> None:
    gate = decide(table([("a", 0.3, 0.7, labeler, 0.1)]), ["a"], SIZES, margin)
    assert gate.chosen == {who}


def test_masks_are_put_together_as_decided() -> None:
    gate = Gate(
        class_names=("a", "b"), size_from=SIZES,
        choices=({"small": "labeler", "medium": "student", "large": "student"}, dict.fromkeys(SIZES, "blend")),
    )  # fmt: skip
    student = torch.zeros(2, 2, 10, 10)
    student[0, 0, 0, 0] = 1  # 1 %: small
    student[1, 0, :5] = 1  # half: large
    masks = {"student": student, "labeler": torch.full_like(student, 0.25), "blend": torch.full_like(student, 0.75)}
    drawn, sources = gate.draw(masks, torch.ones(2, 1, 10, 10, dtype=torch.bool))
    assert sources == [["labeler", "blend"], ["student", "blend"]]
    assert torch.equal(drawn[0, 0], masks["labeler"][0, 0])
    assert torch.equal(drawn[1, 0], student[1, 0])
    assert torch.equal(drawn[:, 1], masks["blend"][:, 1])


def test_padding_does_not_make_an_object_small() -> None:
    gate = Gate(
        class_names=("a",), size_from=SIZES, choices=({"small": "labeler", "medium": "labeler", "large": "student"},)
    )
    student = torch.zeros(1, 1, 10, 10)
    student[..., :3, :3] = 1  # 9 % of the square, 18 % of the image
    inside = torch.ones(1, 1, 10, 10, dtype=torch.bool)
    inside[..., 5:] = False
    _, sources = gate.draw({"student": student, "labeler": student, "blend": student}, inside)
    assert sources == [["student"]]


def test_a_blend_is_the_mean_and_one_class_where_they_exclude_each_other() -> None:
    a, b = torch.tensor([0.9, 0.8]).reshape(1, 2, 1, 1), torch.tensor([0.5, 0.4]).reshape(1, 2, 1, 1)
    assert blended(a, b, exclusive=False).flatten().tolist() == pytest.approx([0.7, 0.6])
    assert blended(a, b, exclusive=True).flatten().tolist() == pytest.approx([0.7, 0.0])


def test_a_labeler_that_cannot_be_compared_is_trusted_and_said_to_be() -> None:
    gate = uncompared_gate(["a"], SIZES)
    assert gate.chosen == {"labeler"}
    assert "could not be compared" in gate.sentence()


def test_through_json_and_back() -> None:
    gate = decide(table([("a", 0.3, 0.5, 0.8, 0.6)]), ["a"], SIZES)
    assert Gate.from_json(json.loads(json.dumps(gate.to_json()))) == gate


def test_a_class_without_gold_is_named() -> None:
    with pytest.raises(DataError, match="gate: no held-out gold to compare 'b' on"):
        decide(table([("a", 0.3, 0.5, 0.8, 0.6)]), ["a", "b"], SIZES)
