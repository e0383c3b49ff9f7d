from __future__ import annotations

import math
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from labelmine.errors import ConfigError, DataError
from labelmine.evaluation.surface import surface_scores

lengths = st.floats(0.25, 4.0)
pair_of_masks = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=8).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def outline(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def slow_scores(
    pred: np.ndarray, gold: np.ndarray, spacing: tuple[float, float], tolerance: float
) -> tuple[float, float]:
    """By distance transforms of outlines on the whole image."""
    ours, theirs = outline(pred), outline(gold)
    there = ndimage.distance_transform_edt(~theirs, sampling=spacing)[ours]
    back = ndimage.distance_transform_edt(~ours, sampling=spacing)[theirs]
    within = (there <= tolerance).sum() + (back <= tolerance).sum()
    return max(np.percentile(there, 95), np.percentile(back, 95)), within / (len(there) + len(back))


@settings(max_examples=80, deadline=None)
@given(pair_of_masks, lengths, lengths, st.floats(0, 5))
def test_agrees_with_distance_transforms(
    masks: tuple[np.ndarray, np.ndarray], row: float, column: float, tolerance: float
) -> None:
    pred, gold = masks
    assume(pred.any() and gold.any())
    # A distance that equals the tolerance may fall on either side in float32.
    gaps = np.hypot(*np.meshgrid(np.arange(8) * row, np.arange(8) * column))
    assume(np.abs(gaps - tolerance).min() > 1e-4)
    distance, dice = surface_scores(pred[None], gold[None], (row, column), tolerance)
    expected = slow_scores(pred, gold, (row, column), tolerance)
    assert (distance[0], dice[0]) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_rows_and_columns_have_their_own_length() -> None:
    gold = np.zeros((1, 40, 40), dtype=bool)
    gold[0, 10:20, 10:20] = True
    down, right = (surface_scores(np.roll(gold, 4, axis), gold, (0.5, 2.0))[0][0] for axis in (1, 2))
    assert (down, right) == (2.0, 8.0)


def test_classes_are_measured_alone() -> None:
    gold = np.zeros((3, 12, 12), dtype=bool)
    gold[0, 2:6, 2:6] = gold[1, 5:9, 5:9] = True
    pred = gold.copy()
    pred[0] = np.roll(pred[0], 3, axis=0)
    pred[1] = False
    distance, dice = surface_scores(pred, gold, (1.0, 1.0))
    assert (distance[0], distance[2]) == (3.0, 0.0)
    assert math.isnan(distance[1])
    assert dice[0] == pytest.approx(slow_scores(pred[0], gold[0], (1.0, 1.0), 2.0)[1])
    assert dice[1:].tolist() == [0.0, 1.0]


def test_empty_masks_raise_no_warning() -> None:
    empty = np.zeros((1, 6, 6), dtype=bool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [float(value[0]) for value in surface_scores(empty, empty, (1.0, 1.0))] == [0.0, 1.0]
        for pred, gold in ((empty, ~empty), (~empty, empty)):
            distance, dice = surface_scores(pred, gold, (1.0, 1.0))
            assert math.isnan(distance[0])
            assert dice[0] == 0
        assert [float(value[0]) for value in surface_scores(~empty, ~empty, (1.0, 1.0))] == [0.0, 1.0]


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (1.0, -2.0), (1.0, math.nan), (1.0, 1.0, 1.0)])
def test_spacings_that_are_none_are_refused(spacing: tuple[float, float]) -> None:
    mask = np.ones((1, 4, 4), dtype=bool)
    with pytest.raises(DataError, match=r"spacing: expected \(row, column\) millimetres above 0, got .*leave it out"):
        surface_scores(mask, mask, spacing)


@pytest.mark.parametrize("tolerance", [-1.0, math.inf, math.nan])
def test_tolerances_that_are_none_are_refused(tolerance: float) -> None:
    mask = np.ones((1, 4, 4), dtype=bool)
    with pytest.raises(ConfigError, match="tolerance: expected 0 or more millimetres, got"):
        surface_scores(mask, mask, (1.0, 1.0), tolerance)


@pytest.mark.shared
def test_real_hippocampus_against_distance_transforms(shared_data: Path) -> None:
    volumes = sorted((shared_data / "hippocampus" / "labels").glob("*.nii.gz"))[:2]
    for path in volumes:
        labels = np.asarray(nib.load(path).dataobj)
        for index in range(12, labels.shape[2] - 12, 4):
            gold = labels[..., index] > 0
            pred = ndimage.binary_dilation(np.roll(gold, 2, axis=0))
            distance, dice = surface_scores(pred[None], gold[None], (0.7, 1.3))
            expected = slow_scores(pred, gold, (0.7, 1.3), 2.0)
            assert (distance[0], dice[0]) == pytest.approx(expected, rel=1e-5)
