"""Benchmarks' common part: turns, ratios round by round, and the last line."""

from __future__ import annotations

import json

import pytest
from side_by_side import Comparison, print_verdict, time_side_by_side


def test_sides_take_turns_after_their_warm_up() -> None:
    calls: list[str] = []
    seconds = time_side_by_side({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warm_up=2)
    assert "".join(calls) == "aabb" + "ab" + "ba" + "ab"
    assert {k: len(v) for k, v in seconds.items()} == {"a": 3, "b": 3}
    assert all(s > 0 for side in seconds.values() for s in side)


def test_ratio_is_taken_round_by_round() -> None:
    # The machine slows down tenfold in the third round: medians of each side apart would still say 2, means would not.
    comparison = Comparison.of([2.0, 4.4, 30.0], [1.0, 2.0, 10.0])
    assert comparison.ratio == pytest.approx(2.2)
    assert comparison.spread == pytest.approx((2.0, 3.0))
    assert str(comparison) == "2.20x (2.00 to 3.00)"


@pytest.mark.parametrize("sides", [([], []), ([1.0], [1.0, 2.0])])
def test_unequal_rounds_are_refused(sides: tuple[list[float], list[float]]) -> None:
    counts = f"{len(sides[0])} and {len(sides[1])}"
    with pytest.raises(ValueError, match=rf"expected as many rounds on both sides. Got: {counts}"):
        Comparison.of(*sides)


@pytest.mark.parametrize(
    ("ratio", "at_most", "met"), [(3.0, False, True), (2.99, False, False), (1.0, True, True), (3.01, True, False)]
)
def test_verdict_is_a_line_of_json(ratio: float, at_most: bool, met: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert print_verdict("decoder", ratio, 3.0, "cpu", at_most, rounds=5) is met
    line = capsys.readouterr().out.splitlines()[-1]
    expected = {"name": "decoder", "ratio": ratio, "bar": 3.0, "met": met, "device": "cpu", "rounds": 5}
    assert json.loads(line) == expected
