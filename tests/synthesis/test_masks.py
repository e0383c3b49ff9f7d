from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labelmine.synthesis.masks import cleaned, deformed, hole_around


def discs(count: int = 6, side: int = 64) -> Tensor:
    y, x = np.mgrid[:side, :side]
    masks = [(y - 20 - 4 * i) ** 2 + (x - 30) ** 2 < (6 + i) ** 2 for i in range(count)]
    return torch.from_numpy(np.stack(masks)).float()[:, None]


def test_deformed_masks_are_new_but_alike() -> None:
    masks = discs()
    new = deformed(masks, seed=0)
    assert set(new.unique().tolist()) == {0.0, 1.0}
    assert all(not torch.equal(a, b) for a, b in zip(new, masks, strict=True))
    ratio = new.sum((1, 2, 3)) / masks.sum((1, 2, 3))
    assert ((ratio > 0.3) & (ratio < 3)).all()
    assert torch.equal(new, deformed(masks, seed=0))
    assert not torch.equal(new, deformed(masks, seed=1))


def test_a_mask_that_would_be_lost_stays_as_it_was() -> None:
    masks = torch.zeros(8, 1, 64, 64)
    masks[:, :, :2, :2] = 1  # in the corner: most moves push it out
    new = deformed(masks, seed=0)
    assert (new.sum((1, 2, 3)) > 0).all()


def test_specks_vanish_and_lesions_stay() -> None:
    made = discs(1) * 2 - 1
    made[0, 0, 50, 5] = 1.0
    mask = cleaned(made, radius=1)
    assert mask.dtype == np.bool_
    assert not mask[0, 0, 50, 5]
    assert mask.sum() > 0.8 * discs(1).numpy().sum()
    assert cleaned(made, radius=0)[0, 0, 50, 5]


def test_the_hole_reaches_beyond_the_lesion() -> None:
    masks = torch.zeros(1, 2, 32, 32)
    masks[0, 0, 10, 10] = masks[0, 1, 20, 20] = 1
    hole = hole_around(masks, margin=0.1)
    assert hole.shape == (1, 1, 32, 32)
    assert hole[0, 0, 7:14, 7:14].all()
    assert hole.sum() == 2 * 49
