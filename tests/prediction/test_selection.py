from __future__ import annotations

import numpy as np
import pytest

from labelmine.prediction.selection import Examined, choose


def dice(mean: float, spread: float = 0.2, seed: int = 0, n: int = 16) -> np.ndarray:
    return np.clip(mean + spread * np.random.default_rng(seed).standard_normal(n), 0, 1)


def test_the_better_student_is_kept() -> None:
    assert choose({"supervised": dice(0.6), "mined": dice(0.7)}) == "mined"
    worse = dice(0.7) - np.tile([0.12, 0.08], 8)  # on each image
    assert choose({"supervised": dice(0.7), "mined": worse}) == "supervised"


def test_a_difference_that_may_be_chance_does_not_drop_the_student_that_learnt_more() -> None:
    supervised = dice(0.74)
    mined = supervised - 0.03 + np.tile([0.1, -0.1], 8)  # better on every second image
    assert choose({"supervised": supervised, "mined": mined}) == "mined"


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_images_do_not_decide(n: int) -> None:
    assert choose({"supervised": np.linspace(0.9, 0.8, n), "mined": np.linspace(0.7, 0.79, n)}) == "mined"


def test_the_same_loss_on_every_image_is_no_chance() -> None:
    assert choose({"supervised": np.full(8, 0.8), "mined": np.full(8, 0.7)}) == "supervised"


def test_a_single_student_is_kept() -> None:
    assert choose({"supervised": dice(0.5)}) == "supervised"


def test_the_reason_says_when_it_may_be_chance() -> None:
    figures = {"supervised": 0.74, "mined": 0.71}
    assert "may be chance" in Examined({}, figures, {}, "mined", 16).reason
    assert Examined({}, figures, {}, "supervised", 16).reason == (
        "Dice on gold validation, n = 16: supervised 0.740, mined 0.710"
    )
