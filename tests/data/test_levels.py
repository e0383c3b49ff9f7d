from __future__ import annotations

import numpy as np
import pytest

from labelmine.data.levels import MAX_LEVELS, measure_levels, pool_levels
from labelmine.data.stored_masks import StoredMask

RNG = np.random.default_rng(0)


def slow_counts(mask: np.ndarray) -> dict[float, tuple[int, int, int, int]]:
    """Pixels, solid, ramp and border of each value, pixel by pixel."""
    counts: dict[float, list[int]] = {}
    padded = np.pad(mask, 1, mode="edge")
    for row, column in np.ndindex(mask.shape):
        around, value = padded[row : row + 3, column : column + 3], mask[row, column]
        is_border = row in (0, mask.shape[0] - 1) or column in (0, mask.shape[1] - 1)
        parts = (1, (around == value).all(), around.min() < value < around.max(), is_border)
        counts[value] = [a + int(b) for a, b in zip(counts.get(value, [0] * 4), parts, strict=True)]
    return {float(value): tuple(parts) for value, parts in counts.items()}


@pytest.mark.parametrize(
    "levels", [[0], [7], [0, 255], [0, 1, 2], [0, 50, 60, 70, 255], [0, 70_000], [0, 0.25, 0.5, 1]]
)
def test_counts_equal_those_of_every_pixel(levels):
    blocks = RNG.choice(np.asarray(levels), (5, 6))
    mask = np.kron(blocks, np.ones((4, 3), dtype=blocks.dtype))
    mask[7] = RNG.choice(np.asarray(levels), mask.shape[1])
    found = measure_levels(StoredMask(mask), "m.png")
    parts = zip(found.pixels.tolist(), found.solid.tolist(), found.ramp.tolist(), found.border.tolist(), strict=True)
    assert dict(zip(found.values.tolist(), parts, strict=True)) == slow_counts(mask)
    assert found.masks.tolist() == [1] * len(found.values)


def test_colors_are_counted_as_colors_and_grey_ones_as_grey():
    mask = np.zeros((8, 8, 3), dtype=np.uint8)
    mask[2:6, 2:6] = (255, 0, 9)
    found = measure_levels(StoredMask(mask), "m.png")
    assert (found.values.tolist(), found.pixels.tolist()) == ([[0, 0, 0], [255, 0, 9]], [48, 16])
    assert found.is_color
    assert found.is_positive.tolist() == [False, True]
    mask[2:6, 2:6] = 3
    assert measure_levels(StoredMask(mask), "m.png").values.tolist() == [0, 3]
    assert measure_levels(StoredMask(mask), "m.png", keep_color=True).values.tolist() == [[0, 0, 0], [3, 3, 3]]


def test_many_values_are_counted_in_steps_that_keep_both_ends():
    mask = RNG.random((128, 128))
    found = measure_levels(StoredMask(mask), "m.tif")
    assert MAX_LEVELS // 2 < len(found.values) <= MAX_LEVELS
    np.testing.assert_allclose([found.values[0], found.values[-1]], [mask.min(), mask.max()])
    assert found.pixels.sum() == mask.size


def test_regions_are_counted_where_values_may_number_objects():
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[1:3, 1:3], mask[5:7, 5:7], mask[9:11, 1:3] = 1, 2, 1
    assert measure_levels(StoredMask(mask), "m.png").regions == 3
    assert measure_levels(StoredMask(mask, is_lossy=True), "m.png").regions == 0
    assert measure_levels(StoredMask((mask > 0) * np.uint8(255)), "m.png").regions == 0


def test_pool_adds_up():
    masks = [RNG.choice(np.array([0, 1, 5], dtype=np.uint8), (9, 9)), np.full((9, 9), 5, dtype=np.uint8)]
    pooled = pool_levels(measure_levels(StoredMask(mask), "m.png") for mask in masks)
    assert pooled.values.tolist() == [0, 1, 5]
    assert pooled.pixels.tolist() == [sum(int((mask == value).sum()) for mask in masks) for value in (0, 1, 5)]
    assert pooled.masks.tolist() == [1, 1, 2]
    assert pool_levels([]).values.size == 0
