from __future__ import annotations

from typing import Any

import pytest
import torch

from labelmine.errors import ConfigError
from labelmine.transforms import MovedAndRecoloured, RandomAffine


def squares() -> tuple[torch.Tensor, torch.Tensor]:
    """32 images with a bright square, and the square's mask."""
    mask = torch.zeros(32, 1, 64, 64)
    mask[:, :, 20:40, 24:44] = 1
    return (0.1 + 0.8 * mask).repeat(1, 3, 1, 1), mask


def affine(seed: int = 0, **changes: Any) -> RandomAffine:
    knobs: dict[str, Any] = {"turn": 45.0, "scale": (0.6, 1.4), "shift": 0.1, **changes}
    return RandomAffine(**knobs, generator=torch.Generator().manual_seed(seed))


def test_image_and_mask_move_together() -> None:
    image, mask = affine()(*squares())
    bright = (image[:, :1] > 0.5).float()
    assert ((bright - mask).abs().sum((1, 2, 3)) <= 0.12 * mask.sum((1, 2, 3))).all()  # pixels on the edge may differ
    assert mask.unique().tolist() == [0, 1]


def test_objects_grow_and_shrink_as_the_scale_says() -> None:
    _, mask = affine(turn=0, shift=0)(*squares())
    sides = mask.sum((1, 2, 3)).sqrt() / 20
    assert 0.55 < sides.min() < 0.75
    assert 1.25 < sides.max() < 1.45
    fixed = affine(turn=0, scale=(1.0, 1.0), shift=0)(*squares())[1]
    torch.testing.assert_close(fixed.sum((1, 2, 3)), torch.full((32,), 400.0))


def test_flips_and_quarter_turns_are_all_drawn() -> None:
    mark = torch.zeros(64, 1, 32, 32)
    mark[:, :, 2:6, 8:10] = 1  # none of its eight images is another
    _, moved = affine(turn=0, scale=(1.0, 1.0), shift=0)(mark.repeat(1, 3, 1, 1), mark)
    assert len({tuple(one.flatten().tolist()) for one in moved}) == 8


def test_knobs_out_of_range() -> None:
    with pytest.raises(ConfigError, match="turn: expected"):
        affine(turn=200)
    with pytest.raises(ConfigError, match="scale: expected"):
        affine(scale=(0.0, 1.0))
    with pytest.raises(ConfigError, match="shift: expected"):
        affine(shift=2)


def test_a_batch_is_augmented_by_seed_and_epoch() -> None:
    image, label = squares()
    batch = {"image": image, "label": label, "weight": torch.ones_like(label), "id": "kept"}
    first, again = MovedAndRecoloured(seed=1)(batch), MovedAndRecoloured(seed=1)(batch)
    for key in ("image", "label", "weight"):
        torch.testing.assert_close(first[key], again[key])
    other = MovedAndRecoloured(seed=1)
    other.set_epoch(2)
    assert not torch.equal(other(batch)["image"], first["image"])
    assert first["id"] == "kept"
    assert first["image"].shape == image.shape
    assert first["image"].min() >= 0
    assert first["image"].max() <= 1
    assert 0 < first["weight"].mean() < 1  # what comes in from outside is ignored
    assert (first["label"] <= first["weight"]).all()
