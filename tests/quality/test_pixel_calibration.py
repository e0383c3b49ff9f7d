from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from labelmine.quality import PixelCalibration, count_logits, expected_dice
from labelmine.quality.pixel_calibration import LOGITS


def overconfident(images: int, slope: float, offset: float, seed: int = 0) -> np.ndarray:
    """Counts of images whose gold follows ``sigmoid(slope * logit(p) + offset)``."""
    torch.manual_seed(seed)
    counts = []
    for _ in range(images):
        p = torch.rand(1, 60, 60)
        true = (p.logit(eps=1e-4) * slope + offset).sigmoid()
        counts.append(count_logits(p, torch.bernoulli(true), torch.ones(60, 60, dtype=torch.bool)))
    return np.stack(counts)


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.parametrize(("slope", "offset"), [(0.5, 0.8), (1.0, 0.0), (2.0, -1.0)])
def test_it_finds_the_curve_that_gold_follows(slope: float, offset: float) -> None:
    found = PixelCalibration.fit(overconfident(20, slope, offset), names(20), "abc")
    assert found is not None
    assert found.slopes[0] == pytest.approx(slope, abs=0.05)
    assert found.offsets[0] == pytest.approx(offset, abs=0.05)
    assert found.error is not None
    assert found.error_before is not None
    assert found.error < 0.015
    if slope != 1:
        assert found.error < found.error_before / 4
    fresh = torch.linspace(0.05, 0.95, 7).reshape(1, 1, 1, 7)
    expected = torch.sigmoid(fresh.logit() * slope + offset)
    torch.testing.assert_close(found(fresh), expected, atol=0.02, rtol=0)


def test_error_is_of_images_that_the_curve_was_not_learnt_from() -> None:
    # Two kinds of images with opposite truths, one of them in a group of its own: within its fold it is always missed.
    counts = np.concatenate([overconfident(4, 1.0, -3.0), overconfident(4, 1.0, 3.0, seed=1)])
    kinds = ["a"] * 4 + ["b"] * 4
    alone = PixelCalibration.fit(counts, [f"{kind}{n % 2}" for n, kind in enumerate(kinds)], "abc")
    assert alone is not None
    assert alone.error is not None
    assert alone.error > 0.1


def test_pixels_are_counted_by_gold_and_logit_and_padding_is_left_out() -> None:
    probability = torch.tensor([[[0.5, 0.5, 1.0], [0.0, 0.9, 0.9]]])
    gold = torch.tensor([[[0, 1, 1], [0, 1, 0]]])
    inside = torch.tensor([[True, True, True], [True, True, False]])
    counts = count_logits(probability, gold, inside)
    assert counts.shape == (1, 2, len(LOGITS))
    middle, high = len(LOGITS) // 2, int(np.abs(LOGITS - np.log(9)).argmin())
    assert {(side, place): n for side, place, n in _filled(counts[0])} == {
        (0, middle): 1, (1, middle): 1, (1, len(LOGITS) - 1): 1, (0, 0): 1, (1, high): 1,
    }  # fmt: skip


def _filled(counts: np.ndarray) -> list[tuple[int, int, int]]:
    return [(int(side), int(place), int(counts[side, place])) for side, place in np.argwhere(counts)]


def test_too_little_gold_teaches_nothing() -> None:
    assert PixelCalibration.fit(overconfident(4, 1, 0), ["a", "b", "c", "a"], "abc") is None


def test_a_class_that_gold_never_shows_keeps_a_rising_finite_curve() -> None:
    never = np.zeros((5, 1, 2, len(LOGITS)), dtype=np.int64)
    never[:, 0, 0, 20] = 1000
    found = PixelCalibration.fit(never, names(5), "abc")
    assert found is not None
    assert found.slopes[0] > 0
    assert np.isfinite([*found.slopes, *found.offsets]).all()


def test_it_comes_back_from_json_and_identity_changes_nothing() -> None:
    found = PixelCalibration.fit(overconfident(5, 1.5, 0.5), names(5), "abc")
    assert found is not None
    assert PixelCalibration.from_json(json.loads(json.dumps(found.to_json()))) == found
    p = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(PixelCalibration.identity(3)(p), p, atol=2e-4, rtol=0)


def test_expected_dice_is_the_mean_dice_of_masks_drawn_by_the_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.zeros(1, 40, 40)
    probability[0, 10:30, 10:30] = 0.9
    probability[0, 5:10, 10:30] = 0.3
    mask = probability > 0.5
    drawn = torch.bernoulli(probability.expand(500, -1, -1), generator=generator) > 0
    dice = 2 * (drawn & mask).sum((1, 2)) / (drawn.sum((1, 2)) + mask.sum())
    assert expected_dice(mask, probability) == pytest.approx(float(dice.mean()), abs=0.01)
    assert expected_dice(torch.zeros(1, 40, 40) > 0, torch.zeros(1, 40, 40)) == 1
    assert expected_dice(torch.zeros(1, 40, 40) > 0, torch.full((1, 40, 40), 0.2)) < 0.05
