from __future__ import annotations

import numpy as np
import pytest

from labelmine.errors import DataError
from labelmine.evaluation import Case


def a_case(**changes: object) -> Case:
    gold = np.zeros((1, 40, 60), dtype=bool)
    fields: dict[str, object] = {"id": "a", "image": np.full((40, 60, 3), 0.4), "gold": gold}
    return Case(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((40, 60))}, r"case 'a': expected an image \(H, W, 3\), got \(40, 60\)"),
        ({"gold": np.zeros((1, 20, 60), bool)}, r"expected the gold mask at the image's \(40, 60\), got \(20, 60\)"),
        ({"predictions": {"mined": np.zeros((60, 40), bool)}}, "expected the mined mask"),
    ],
)
def test_masks_that_would_be_drawn_wrongly_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        a_case(**changes)


def test_a_case_has_prompts_only_where_there_is_one() -> None:
    assert not a_case(boxes=np.zeros((0, 4))).has_prompts
    assert a_case(points=np.array([[1.0, 2.0]])).has_prompts
