from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmine.errors import ConfigError
from labelmine.quality import Calibration, ExpectedDice

NAMES = ("student_dice", "stability", "noise")


def example(n: int = 120, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Two signals that tell and one that does not; Dice is far from their mean, which calibration has to mend."""
    rng = np.random.default_rng(seed)
    signals = {name: rng.uniform(0, 1, n) for name in NAMES}
    told = (signals["student_dice"] + signals["stability"]) / 2
    dice = np.clip(0.3 + 0.4 * told**3 + rng.normal(0, 0.05, n), 0, 1)
    return signals, dice, [str(i) for i in range(n)]


@pytest.mark.parametrize("method", ["auto", "isotonic", "logistic"])
def test_expected_dice_is_near_the_truth_where_the_signals_are_not(method: str) -> None:
    learnt = ExpectedDice.fit(*example(), method=method)  # type: ignore[arg-type]
    assert learnt is not None
    assert learnt.calibration is not None
    assert learnt.calibration.error < 0.04
    assert learnt.calibration.rank_correlation > 0.6
    signals, dice, _ = example(seed=1)
    assert np.abs(learnt(signals) - dice).mean() < 0.06
    assert np.abs(signals["student_dice"] - dice).mean() > 0.2  # what the raw signal would have said


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["isotonic", "logistic"]),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.integers(0, 2),
    st.floats(0, 1),
)
def test_no_signal_that_rises_lowers_it(seed: int, method: str, at: list[float], which: int, rise: float) -> None:
    rng = np.random.default_rng(seed)
    signals = {name: rng.uniform(0, 1, 30) for name in NAMES}
    learnt = ExpectedDice.fit(signals, rng.uniform(0, 1, 30), [str(i % 9) for i in range(30)], method=method)  # type: ignore[arg-type]
    assert learnt is not None
    before = dict(zip(NAMES, ([v] for v in at), strict=True))
    after = {**before, NAMES[which]: [min(1.0, at[which] + rise)]}
    low, high = float(learnt(before)[0]), float(learnt(after)[0])
    assert 0 <= low <= high + 1e-12
    assert high <= 1


def test_a_group_is_never_judged_by_what_was_learnt_from_it() -> None:
    """Dice is the group's own secret: out of fold nothing of it can be told."""
    rng = np.random.default_rng(0)
    groups = [str(i // 10) for i in range(200)]
    secret = rng.uniform(0, 1, 20)
    dice = np.array([secret[int(g)] for g in groups])
    signals = {"identity": np.array([int(g) / 20 for g in groups])}
    learnt = ExpectedDice.fit(signals, dice, groups, method="isotonic")
    assert learnt is not None
    assert learnt.calibration is not None
    assert learnt.calibration.rank_correlation < 0.5


@pytest.mark.parametrize("n", [0, 7])
def test_too_little_gold_teaches_nothing(n: int) -> None:
    signals, dice, groups = example(n)
    assert ExpectedDice.fit(signals, dice, groups) is None
    assert ExpectedDice.fit(*example(30)[:2], ["a", "b", "c"] * 10) is None


def test_constant_dice_is_expected_as_it_is() -> None:
    signals, _, groups = example(30)
    learnt = ExpectedDice.fit(signals, np.full(30, 0.7), groups)
    assert learnt is not None
    assert learnt(signals) == pytest.approx(np.full(30, 0.7), abs=0.02)


def test_through_json_and_back() -> None:
    learnt = ExpectedDice.fit(*example())
    assert learnt is not None
    again = ExpectedDice.from_json(json.loads(json.dumps(learnt.to_json())))
    signals, _, _ = example(seed=2)
    assert np.array_equal(again(signals), learnt(signals))
    assert again.calibration == learnt.calibration


def test_bins_and_error_by_hand() -> None:
    calibration = Calibration(expected=[0.2] * 5 + [0.8] * 5, observed=[0.3] * 5 + [0.8] * 5, method="x", n_groups=10)
    assert calibration.bins()["n"].tolist() == [5, 5]
    assert calibration.error == pytest.approx(0.05)
    assert calibration.summary()["n"] == 10


def test_errors() -> None:
    signals, dice, groups = example()
    with pytest.raises(ConfigError, match=r"method: expected 'auto', 'isotonic' or 'logistic'. Got: 'magic'"):
        ExpectedDice.fit(signals, dice, groups, method="magic")  # type: ignore[arg-type]
    learnt = ExpectedDice.fit(signals, dice, groups)
    assert learnt is not None
    with pytest.raises(ConfigError, match=r"Missing: noise\. The labeler is another"):
        learnt({name: signals[name] for name in NAMES[:2]})
