from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from labelmine.data import read_label
from labelmine.errors import DataError
from labelmine.exchange.decisions import mask_dice
from labelmine.review import ReviewSession
from labelmine.review.correcting import Answer
from labelmine.review.simulated import Habits, SimulatedReviewer, curve, review_all, worst_place


def gold_of(session: ReviewSession) -> Callable[[str], np.ndarray]:
    items = {case.item["id"]: case.item for case in session.cases.cases}

    def gold(image: str) -> np.ndarray:
        return np.asarray(read_label(items[image], items[image]["label"], session.cases.images.classes) > 0)

    return gold


def test_right_labels_are_accepted_and_what_the_teacher_does_not_find_is_drawn(session: ReviewSession) -> None:
    """The teacher of this session has learnt nothing, so that it finds no object."""
    reviewer = SimulatedReviewer(session, gold_of(session), Habits(look=2, ask=3, draw=20, clicks=1))
    table = review_all(reviewer, range(3))
    assert table["verdict"].tolist() == ["corrected", "accepted", "accepted"]
    assert table["after"].tolist() == [1, 1, 1]
    assert table["before"][0] < 0.9
    assert table["seconds"].tolist() == [2 + 3 * 2 + 20, 2, 2]
    (corrected, *_) = session.log.decisions
    assert corrected.tools == {"box": 1, "click": 1, "brush": 1}
    assert [one.seconds for one in session.log.decisions] == [28, 2, 2]


def test_a_good_answer_is_taken_as_it_is(session: ReviewSession, monkeypatch: pytest.MonkeyPatch) -> None:
    gold = gold_of(session)
    almost = gold("case_0")[0].copy()
    almost[np.nonzero(almost)[0][0]] = False  # its uppermost row
    monkeypatch.setattr(session, "ask", lambda *_: Answer(almost, 0.9, 0.0, 0.0))
    decision = SimulatedReviewer(session, gold).review(0)
    assert decision.tools == {"box": 1, "click": 0, "brush": 0}
    assert (session.log.mask(decision)[0] == almost).all()
    assert mask_dice(almost[None], gold("case_0")) > 0.9


def test_a_person_clicks_into_the_middle_of_the_largest_error() -> None:
    gold = np.zeros((20, 30), bool)
    gold[5:15, 5:15] = True
    mask = gold.copy()
    mask[6:9, 6:9] = False
    mask[2:9, 20:27] = True
    assert worst_place(mask, gold) == ((23, 5), False)
    assert worst_place(np.zeros_like(gold), gold)[1]
    with pytest.raises(DataError, match="expected one that differs"):
        worst_place(gold, gold)


def test_curve_by_hand() -> None:
    rows = pd.DataFrame({"before": [0.2, 0.5, 0.8], "after": [1.0, 0.9, 0.8], "seconds": [60, 30, 30]})
    found = curve(rows, [2, 0, 1])
    assert found["dice"].tolist() == pytest.approx([0.5, 0.5, 2.3 / 3, 0.9])
    assert found["minutes"].tolist() == [0, 0.5, 1.5, 2]
