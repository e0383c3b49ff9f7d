"""When labels are made and when they begin to count."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labelmine.errors import ConfigError
from labelmine.handlers import Schedule


def test_what_a_schedule_says() -> None:
    once, often, seldom = Schedule(), Schedule("continuous", warm_up=2), Schedule("continuous", relabel_every=3)
    assert [s.continuous for s in (once, often, seldom)] == [False, True, True]
    assert [s.at_each_visit for s in (once, often, seldom)] == [False, True, False]
    assert [often.waits(epoch) for epoch in (1, 2, 3)] == [True, True, False]
    assert not Schedule("one_time", warm_up=2).waits(1)  # there is nothing to wait for: labels are there


def test_weights_rise_as_laine_and_aila_have_it() -> None:
    rising = Schedule("continuous", ramp_up=4)
    expected = [math.exp(-5 * (1 - t) ** 2) for t in (0.25, 0.5, 0.75, 1, 1)]
    assert [rising.risen(epoch) for epoch in range(1, 6)] == pytest.approx(expected)
    assert Schedule().risen(1) == 1


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"name": "once"}, "schedule: expected 'one_time' or 'continuous'. Got: 'once'"),
        ({"relabel_every": 0}, "relabel_every: expected a whole number of 1 or more. Got: 0"),
        ({"warm_up": -1}, "warm_up: expected a whole number of 0 or more. Got: -1"),
        ({"ramp_up": 0.5}, "ramp_up: expected a whole number of 0 or more. Got: 0.5"),
        ({"relabel_every": 2, "soft": True}, "soft labels are made at each visit"),
        ({"name": "one_time", "soft": True}, "soft labels are made at each visit"),
    ],
)
def test_wrong_knobs(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Schedule(**{"name": "continuous", **knobs})
