from __future__ import annotations

import numpy as np
import torch

from labelmine.quality import class_dice
from labelmine.quality.corruption import corrupted


def gold() -> np.ndarray:
    masks = np.zeros((4, 1, 64, 64), dtype=bool)
    masks[0, 0, 10:30, 10:40] = masks[1, 0, 30:50, 5:25] = masks[2, 0, 40:60, 40:60] = True
    return masks  # the last shows nothing


def test_labels_are_spread_over_dice_and_begin_with_gold() -> None:
    masks = gold()
    made = list(corrupted(masks))
    index = np.array([n for n, _ in made])
    dice = class_dice(torch.from_numpy(np.stack([m for _, m in made])), torch.from_numpy(masks[index]))[:, 0].numpy()
    assert set(index) == {0, 1, 2}
    for n in range(3):
        assert dice[index == n][0] == 1
        assert (dice[index == n] < 0.2).any()
        assert ((dice[index == n] > 0.3) & (dice[index == n] < 0.8)).any()
    assert all(label.any() for _, label in made)


def test_the_same_seed_makes_the_same_labels() -> None:
    first, second, other = (list(corrupted(gold(), seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, other, strict=False))


def test_nothing_comes_of_nothing() -> None:
    assert list(corrupted(np.zeros((2, 1, 8, 8), dtype=bool))) == []
