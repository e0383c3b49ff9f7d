"""What every labeler and every reason owes to the workflows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import labelmine.labelers
from labelmine.labelers import Labeler, PseudoLabel, Reason, Refusal
from labelmine.labelers.features import network_of
from labelmine.networks import IndirectStudent, Student, TestTimeAverage, network_behind
from labelmine.teachers import CompactTeacher
from labelmine.workflows.search_prompts.search import RememberedStudent

PRIVATE = ("prepare", "knows", "source", "name", "teacher")


class Everything(Labeler):
    """A labeler of a user's own: it marks all pixels, and writes nothing but how."""

    def __call__(self, batch: Mapping[str, Any], student: Any) -> PseudoLabel:
        count, _, height, width = batch["image"].shape
        return PseudoLabel(
            mask=torch.ones(count, 1, height, width),
            weight=torch.ones(count, 1, height, width),
            score=torch.ones(count),
            accepted=torch.ones(count, dtype=torch.bool),
            refusal=[None] * count,
            source=self.source,
            prompts=[[] for _ in range(count)],
        )


def test_a_labeler_needs_nothing_but_its_call() -> None:
    labeler = Everything()
    labeler.prepare(nn.Identity())
    assert labeler.knows("any image")
    assert labeler.teacher is None
    label = labeler({"image": torch.rand(2, 3, 8, 8)}, nn.Identity())
    assert label.source == {"labeler": "Everything", "teacher": "", "teacher_sha256": ""}
    with pytest.raises(TypeError, match="abstract"):
        Labeler()  # type: ignore[abstract]


def test_each_labeler_has_a_name_of_its_own_and_no_optional_members() -> None:
    kinds = [kind for _, kind in inspect.getmembers(labelmine.labelers, inspect.isclass) if issubclass(kind, Labeler)]
    names = [kind.name for kind in kinds if kind not in (Labeler, labelmine.labelers.GatedLabeler)]
    assert sorted(names) == ["prompted", "recorded", "reference", "self"]
    assert all(hasattr(kind, member) for kind in kinds for member in PRIVATE)


def test_reasons_have_keys_and_sentences() -> None:
    assert len({reason.value for reason in Reason}) == len({reason.sentence for reason in Reason}) == len(Reason)
    assert all(reason == reason.value == str(reason) and reason.value.islower() for reason in Reason)
    assert Reason.of("low_score") is Reason.LOW_SCORE
    assert Reason.of("score 0.31 is below 0.5") is Reason.OTHER
    assert str(Refusal(Reason.OTHER, "blurred")) == "blurred"
    assert Refusal.low_score(0.25, 0.5) == Refusal(Reason.LOW_SCORE, "score 0.25 is below 0.5")


def test_the_network_is_found_behind_all_that_stands_before_it() -> None:
    student = Student(["a"], "mobilenet_v2")
    for wrapped in (TestTimeAverage(student), RememberedStudent(student), RememberedStudent(TestTimeAverage(student))):
        assert isinstance(wrapped, IndirectStudent)
        assert network_behind(wrapped) is network_of(wrapped) is student
    function = Tensor.sigmoid
    assert network_behind(function) is function


def test_a_teacher_without_a_list_or_a_choice_says_so() -> None:
    teacher = CompactTeacher(64)
    assert (teacher.trained_on, teacher.multimask) == (frozenset(), None)
