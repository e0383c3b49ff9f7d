"""A wrong value of a knob is refused by the knob's name, with its range and the value, in our own error."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from labelmine.errors import ConfigError
from labelmine.handlers import EmaStudent
from labelmine.labelers import GatedLabeler, PromptedLabeler, RecordedLabeler, SelfLabeler
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.pretrain import PartnerContrast, RandomViews, SimCLR
from labelmine.prompts import PromptGenerator, PromptSimulator
from labelmine.quality import decide
from labelmine.ranges import check_number
from labelmine.synthesis import Generator, Recipe
from labelmine.training import TrainingPlan, student_loader, student_trainer
from labelmine.transforms import StrongView, StudentView

UNIT, WHOLE, ABOVE_0 = r"a number in \[0, 1\]", "a whole number of 1 or more", "a number of 0 or more"
labeler = SelfLabeler()
plan = partial(TrainingPlan, loss=WeightedBCEDiceLoss(), optimizer=torch.optim.Adam, scheduler=lambda _: None)

ROOMS: dict[str, list[tuple[Callable[..., Any], str, str, Any]]] = {
    "prompts": [
        (PromptGenerator, "tau", r"a number in \(0, 1\)", 1.5),
        (PromptGenerator, "n_points", WHOLE, 2.5),
        (PromptGenerator, "n_negative", "a whole number of 0 or more", -1),
        (PromptGenerator, "margin", ABOVE_0, "wide"),
        (PromptGenerator, "min_size", WHOLE, None),
        (PromptGenerator, "mask_size", WHOLE, 0),
        (PromptSimulator, "n_points", WHOLE, 0),
        (PromptSimulator, "min_size", WHOLE, 0),
    ],
    "labelers": [
        (partial(PromptedLabeler, None), "min_score", UNIT, 1.5),
        (partial(PromptedLabeler, None), "jitter", UNIT, -0.1),
        (SelfLabeler, "confidence", r"a number in \[0.5, 1\]", 0.4),
        (SelfLabeler, "min_score", UNIT, "high"),
        (partial(RecordedLabeler, "masks"), "min_score", UNIT, 2),
        (partial(RecordedLabeler, "masks"), "one_class_limit", r"a number in \(0, 1\], or null", 0),
        (partial(GatedLabeler, labeler, "gate.json"), "min_score", UNIT, 1.5),
        (partial(GatedLabeler, labeler, "gate.json"), "confidence", r"a number in \[0.5, 1\]", 0.2),
        (partial(GatedLabeler, labeler, "gate.json"), "min_support", UNIT, math.nan),
        (partial(GatedLabeler, labeler, "gate.json"), "disagreement", UNIT, -1),
    ],
    "pretrain": [
        (RandomViews, "min_area", r"a number in \(0, 1\]", 0),
        (RandomViews, "rotation", r"a number in \[0, 180\]", -5),
        (RandomViews, "jitter", UNIT, 2),
        (RandomViews, "grey", UNIT, "some"),
        (RandomViews, "blur", UNIT, math.nan),
        (SimCLR, "projection", WHOLE, 0),
        (PartnerContrast, "temperature", "a number of 0.02 or more", 0),
    ],
    "transforms": [
        (StudentView, "image_size", "a whole number of 32 or more, a multiple of 32", 224.0),
        (StudentView, "image_size", "a multiple of 32", 100),
    ],
    "handlers": [(partial(EmaStudent, torch.nn.Linear(1, 1)), "decay", r"a number in \(0, 1\)", 1.5)],
    "synthesis": [
        (Recipe, "count", WHOLE, 0),
        (Recipe, "hole_margin", ABOVE_0, -1),
        (Recipe, "opening", "a whole number of 0 or more", 0.5),
        (Recipe, "mask_threshold", r"a number in \[-1, 1\]", 2),
        (Recipe, "resamplings", WHOLE, 0),
        (Recipe, "eta", ABOVE_0, math.nan),
        (Recipe, "style", UNIT, 2),
        (Recipe, "style_factor", "a whole number of 2 or more", 1),
        (partial(Generator, ["a"]), "clusters", "a whole number of 0 or more", -1),
        (partial(Generator, ["a"]), "res_blocks", WHOLE, 0),
    ],
    "quality": [(partial(decide, None, [], {}), "min_images", WHOLE, 0)],
    "losses": [
        (WeightedBCEDiceLoss, "bce", ABOVE_0, -1),
        (WeightedBCEDiceLoss, "dice", ABOVE_0, "some"),
    ],
    "training": [
        (plan, "patience", WHOLE, 0),
        (plan, "strong_view", UNIT, 1.5),
        (partial(student_loader, None), "batch_size", WHOLE, 0),
        (partial(student_loader, None, 8), "num_workers", "a whole number of 0 or more", -1),
        (partial(student_loader, None, 8), "gold_share", UNIT, 1.5),
    ],
}


@pytest.mark.parametrize(
    ("make", "knob", "range_", "value"),
    [case for cases in ROOMS.values() for case in cases],
    ids=lambda part: str(part),
)
def test_a_wrong_value_is_refused_by_name(make: Callable[..., Any], knob: str, range_: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{knob}: expected {range_}.* Got: {value!r}$"):
        make(**{knob: value})


def test_knobs_that_have_another_name_on_the_command_line_are_called_by_it() -> None:
    with pytest.raises(ConfigError, match=r"^strong_view: expected a number in \(0, 1\], .* Got: 2$"):
        StrongView(2)
    with pytest.raises(ConfigError, match=r"^steps_per_epoch: expected a whole number of 1 or more, or .* Got: 0$"):
        student_loader(None, 8, steps=0)
    with pytest.raises(ConfigError, match=r"^prompt_kinds: expected a list of one or more of points, .* Got: 'box'$"):
        PromptGenerator("box")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^gate_margin: expected a number in .* Got: 'much'$"):
        decide(None, [], {}, "much")  # type: ignore[arg-type]


def test_what_torch_says_of_the_learning_rate_is_our_own_error() -> None:
    network = torch.nn.Linear(1, 1)
    made = plan(optimizer=partial(torch.optim.Adam, lr=-1.0))
    loader = torch.utils.data.DataLoader([0])
    with pytest.raises(ConfigError, match=r"^learning_rate: expected a number above 0 .* Got: .*-1\.0"):
        student_trainer(made, network, loader, loader, 1, "folder")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, None, "0.5", math.nan, math.inf, -0.01, 1.01, [0.5]])
def test_only_numbers_in_the_range_pass(value: object) -> None:
    with pytest.raises(ConfigError, match=r"share: expected a number in \[0, 1\]"):
        check_number("share", value, 0, 1)


def test_ends_belong_to_a_range_unless_it_is_open() -> None:
    for value in (0, 1, 0.5, torch.tensor(0.5).item()):
        check_number("share", value, 0, 1)
    for value, ends in ((0, {"open_low": True}), (1, {"open_high": True})):
        with pytest.raises(ConfigError, match=f"Got: {value}"):
            check_number("share", value, 0, 1, **ends)
    with pytest.raises(ConfigError, match=r"rate: expected a number above 0. Got: 0"):
        check_number("rate", 0, 0, open_low=True)
    with pytest.raises(ConfigError, match=r"any: expected a number. Got: 'x'"):
        check_number("any", "x")
