from __future__ import annotations

import math

import pytest

from labelmine.evaluation import wording

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.4, "12 s"), (59.7, "1 min 00 s"), (3725, "62 min 05 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [(0.71239, "0.712", "+0.712"), (-0.02, "-0.020", f"{MINUS}0.020"), (None, DASH, DASH), (math.nan, DASH, DASH)],
)
def test_figures_that_are_not_known_are_dashes(value: float | None, plain: str, signed: str) -> None:
    assert wording.number(value) == plain
    assert wording.signed(value) == signed


def test_an_interval_needs_both_ends() -> None:
    assert wording.interval([0.65, 0.74]) == "0.650 to 0.740"
    assert wording.interval_note([-0.1, 0.2], wording.signed) == f" (95 % interval {MINUS}0.100 to +0.200)"
    assert wording.interval([None, 0.74]) == DASH
    assert wording.interval_note([0.1, math.nan]) == ""


def test_counts_shares_and_lists_read_as_words() -> None:
    assert [wording.count(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [wording.percent(f) for f in (0.125, 1, 0.05)] == ["12.5 %", "100 %", "5 %"]
    assert [wording.listed(words) for words in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
