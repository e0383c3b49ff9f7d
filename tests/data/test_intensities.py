from __future__ import annotations

import numpy as np
import pytest

from labelmine.data.intensities import percentile_limits, scale_by_percentiles, scale_by_window, scale_to_limits


def test_percentiles_cut_hot_pixels():
    values = np.linspace(100, 200, 10_000)
    values[0] = 1e9
    scaled = scale_by_percentiles(values)
    assert scaled.dtype == np.float32
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert scaled[5000] == pytest.approx(0.5, abs=0.01)


def test_small_object_on_flat_ground_survives():
    values = np.zeros((100, 100))
    values[50, 50] = 7
    assert percentile_limits(values) == (0, 7)
    assert scale_by_percentiles(values)[50, 50] == 1


@pytest.mark.parametrize("value", [0, -1024, 65535])
def test_constant_image_becomes_zeros(value):
    assert not scale_by_percentiles(np.full((4, 4), value)).any()


def test_missing_values_become_zero():
    values = np.array([np.nan, 0.0, 1.0, np.inf, -np.inf])
    assert scale_to_limits(values, 0, 1).tolist() == [0, 0, 1, 1, 0]
    assert percentile_limits(np.array([np.nan])) == (0, 0)


def test_integers_do_not_overflow():
    assert scale_by_window(np.array([-32768, 32767], dtype=np.int16), (0, 2)).tolist() == [0, 1]
