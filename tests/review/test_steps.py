"""Steps of a correction, taken again by hand and by ``redrawn``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labelmine.errors import DataError
from labelmine.review.steps import MOST_STEPS, by_hand, kept_steps, redrawn


def filled(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Return (12, 12), true in boxes x0, y0, x1, y1."""
    mask = np.zeros((12, 12), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


ANSWER = (9, 9, 11, 11)
LEFT, RIGHT = (0, 0, 3, 3), (5, 0, 8, 3)


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ({"tool": "click", "points": [[9.5, 9.5]], "point_labels": [1], "at": [9.5, 9.5]}, [LEFT, RIGHT, ANSWER]),
        ({"tool": "click", "points": [[1, 1]], "point_labels": [1], "at": [1.9, 2.9]}, [RIGHT, ANSWER]),
        ({"tool": "box", "box": [5, 0, 12, 12]}, [LEFT, ANSWER]),
        ({"tool": "box", "box": [6, 0, 12, 12]}, [LEFT, ANSWER]),  # two thirds of the right part
        ({"tool": "box", "box": [6.5, 0, 12, 12]}, [LEFT, RIGHT, ANSWER]),  # a third, as 6.5 rounds up
        ({"tool": "clear"}, []),
    ],
)
def test_what_a_step_leaves_of_the_label(step: dict[str, Any], left: list[tuple[int, int, int, int]]) -> None:
    mask = filled(LEFT, RIGHT)[None]
    again = redrawn(mask, [{"class": 0, **step}], lambda _: filled(ANSWER), exclusive=False)
    assert (again[0] == filled(*left)).all()
    assert (mask[0] == filled(LEFT, RIGHT)).all()  # is not changed itself


def test_further_clicks_are_about_the_same_object() -> None:
    answers = iter([filled(ANSWER), filled((4, 8, 6, 10))])
    clicks = [{"tool": "click", "class": 0, "at": [1, 1]}, {"tool": "click", "class": 0, "continues": True}]
    again = redrawn(filled(LEFT, RIGHT)[None], clicks, lambda _: next(answers), exclusive=False)
    assert (again[0] == filled(RIGHT, (4, 8, 6, 10))).all()


@pytest.mark.parametrize(("exclusive", "left"), [(True, 0), (False, 9)])
def test_classes_that_exclude_each_other(exclusive: bool, left: int) -> None:
    masks = np.stack([filled(LEFT), filled()])
    step = {"tool": "box", "class": 1, "box": [0, 0, 9, 9]}
    again = redrawn(masks, [step], lambda _: filled(LEFT), exclusive)
    assert (again[0].sum(), again[1].sum()) == (left, 9)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"tool": "brush", "class": 0}, "'brush' cannot be taken again"),
        ({"tool": "clear", "class": 1}, "class of 0 to 0, got 1"),
        ({"tool": "click", "class": 0, "at": [12, 0]}, "a place inside the image"),
        ({"tool": "click", "class": 0, "at": [float("nan"), 0]}, "a place inside the image"),
    ],
)
def test_steps_that_cannot_be_taken_again(step: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        redrawn(filled(LEFT)[None], [step], lambda _: filled(), exclusive=False)


def test_only_sound_steps_are_kept() -> None:
    steps = [{"tool": "click", "class": 0, "points": [[1, 2]], "at": [1, 2], "continues": False, "other": "x"}]
    assert kept_steps(steps) == [{"tool": "click", "class": 0, "points": [[1, 2]], "at": [1, 2]}]
    brush = {"tool": "brush", "class": 0}
    assert by_hand(kept_steps([*steps, brush, brush])) == 2
    odd: list[Any] = [{"tool": "eval", "class": 0}, {"tool": "box", "class": "0"}, {"tool": "box"}, 5]
    odd += [{"tool": "click", "class": 0, "at": ["x", 1]}, {"tool": "click", "class": 0, "at": 3}]
    for one in odd:
        assert kept_steps([brush, one]) == []
    assert kept_steps([brush] * (MOST_STEPS + 1)) == kept_steps("steps") == []
