"""What a knob's type takes, its objects take too: else a run would be refused after its first training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt

from labelmine.errors import ConfigError
from labelmine.labelers import build_prompted_labeler, build_trusted_labeler
from labelmine.networks import Student
from labelmine.teachers import CompactTeacher
from labelmine.training import student_plan
from labelmine.training.student_trainer import _optimizer
from labelmine.transforms import MovedAndRecoloured
from makers import knobs_class, knobs_of

TEACHER = CompactTeacher(64)
STUDENT = Student(encoder="mobilenet_v2")
SMALL = {"embedding_cache": None, "device": "cpu"}


def extremes(kind: Any) -> list[Any]:
    """The values at the ends of a type's range: what is taken last."""
    if get_origin(kind) in (Union, UnionType):
        return [value for part in get_args(kind) for value in extremes(part)]
    if kind is type(None):
        return [None]
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if kind is bool:
        return [True, False]
    return list(_ends(kind)) if get_origin(kind) is Annotated else []


def _ends(kind: Any) -> Iterator[Any]:
    number, *bounds = get_args(kind)
    step = 1 if number is int else 1e-6
    for bound in [part for one in bounds for part in (one if isinstance(one, Interval) else [one])]:
        if isinstance(bound, Ge | Gt):
            yield number(bound.ge) if isinstance(bound, Ge) else bound.gt + step
        if isinstance(bound, Le | Lt):
            yield number(bound.le) if isinstance(bound, Le) else bound.lt - step


def of_mine() -> list[tuple[str, Any]]:
    kind = knobs_class("mine")
    hints = {name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
             for name, field in kind.model_fields.items()}  # fmt: skip
    return [(name, value) for name, hint in hints.items() for value in extremes(hint) if name != "device"]


@pytest.mark.parametrize(("knob", "value"), of_mine())
def test_the_ends_of_a_knob_s_range_are_taken_by_what_is_built_of_it(knob: str, value: Any) -> None:
    given = {knob: value, **({"schedule": "continuous"} if knob == "soft_labels" else {})}
    knobs = knobs_of("mine", **{**SMALL, **given})
    labeler = build_prompted_labeler(TEACHER, knobs, exclusive=False)
    build_trusted_labeler(labeler, Path("gate.json"), knobs, exclusive=False)
    plan = student_plan(knobs, False, MovedAndRecoloured(0), strong_view=knobs.strong_view)
    plan.scheduler(_optimizer(plan, STUDENT), 10)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tau": 1.0}, "tau: expected a number less than 1. Got: 1.0"),
        ({"prompt_kinds": []}, r"prompt_kinds: list should have at least 1 item.* Got: \[\]"),
        ({"min_size": 0}, "min_size: expected a number greater than or equal to 1. Got: 0"),
        ({"learning_rate": float("inf")}, "learning_rate: expected a finite number"),
        ({"encoder": "resnet43"}, "encoder: 'resnet43' is not known.*Try one of: .*resnet34"),
        ({"device": "cdua"}, r"device: expected cpu, cuda, cuda:1, ... or mps. Got: 'cdua'"),
        ({"soft_labels": True}, "soft labels are made at each visit: give schedule 'continuous'"),
    ],
)
def test_what_cannot_be_used_is_refused_when_the_configuration_is_read(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        knobs_of("mine", **{**SMALL, **given})


def test_all_of_them_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        knobs_of("mine", device="cpu", tau=2, gate="perhaps", fallback="me", schedule="often", encoder="resnet43")
    named = {part.partition(":")[0] for part in str(caught.value).split("; ")}
    assert named == {"encoder", "tau", "gate", "fallback", "schedule"}
