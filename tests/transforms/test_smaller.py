"""Batches of the first epochs are shrunk, image, label and weight alike."""

from __future__ import annotations

import pytest
import torch

from labelmine.transforms import SmallerAtFirst


def batch_of(side: int) -> dict[str, torch.Tensor]:
    """A batch whose left half is bright, foreground, and counts."""
    left = torch.zeros(2, 1, side, side)
    left[..., : side // 2] = 1
    return {"image": left.expand(2, 3, side, side), "label": left, "weight": left}


@pytest.mark.parametrize(("side", "small"), [(32, 32), (64, 32), (96, 64), (128, 64), (160, 96), (352, 192)])
def test_half_the_side_that_five_halvings_divide(side: int, small: int) -> None:
    shrunk = SmallerAtFirst(1)(batch_of(side))
    assert {key: tuple(value.shape[-2:]) for key, value in shrunk.items()} == dict.fromkeys(shrunk, (small, small))


def test_what_lies_where_stays() -> None:
    shrunk = SmallerAtFirst(1)(batch_of(128))
    for value in shrunk.values():
        assert value[..., :30].eq(1).all()
        assert value[..., 34:].eq(0).all()


def test_labels_and_weights_stay_what_they_are() -> None:
    drawn = torch.Generator().manual_seed(0)
    label = torch.rand(1, 1, 160, 160, generator=drawn).gt(0.5).float()
    shrunk = SmallerAtFirst(1)({"image": label.expand(1, 3, 160, 160), "label": label, "weight": label / 2})
    assert set(shrunk["label"].unique().tolist()) == {0, 1}
    assert set(shrunk["weight"].unique().tolist()) == {0, 0.5}
    assert len(shrunk["image"].unique()) > 2, "images are averaged"


def test_later_epochs_see_whole_images() -> None:
    smaller = SmallerAtFirst(2)
    sides = []
    for epoch in (1, 2, 3):
        smaller.set_epoch(epoch)
        sides.append(smaller(batch_of(64))["image"].shape[-1])
    assert sides == [32, 32, 64]
