"""Augmentation of whole batches: one geometry for image, label and weight; the same draw for the same epoch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import get_track_meta
from monai.transforms import RandAffined, RandFlipd, RandGaussianNoised, RandRotate90d

from labelmine.transforms import BatchAugment, RandGreyd

KEYS = ("image", "label", "weight")


def geometry() -> list[Any]:
    return [
        RandFlipd(keys=KEYS, prob=0.5, spatial_axis=1),
        RandRotate90d(keys=KEYS, prob=0.5),
        RandAffined(keys=KEYS, prob=0.8, rotate_range=0.5, translate_range=4, mode="nearest", padding_mode="zeros"),
    ]


def blob_batch(count: int = 6) -> dict[str, Any]:
    """Image, label and weight that are equal, so that any difference afterwards is one of geometry."""
    mask = (torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    return {
        "image": mask.repeat(1, 3, 1, 1),
        "label": mask.clone(),
        "weight": mask.clone(),
        "id": list("abcdef")[:count],
    }


def test_image_label_and_weight_move_together_and_the_batch_given_stays() -> None:
    batch = blob_batch()
    kept = {k: batch[k].clone() for k in KEYS}
    out = BatchAugment(geometry())(batch)
    for key in KEYS:
        assert torch.equal(batch[key], kept[key])
        assert out[key].shape == kept[key].shape
        assert torch.equal(out[key][:, :1], out["label"])
    assert not torch.equal(out["label"], kept["label"])
    assert out["id"] == batch["id"]


def test_pixels_from_outside_get_no_weight() -> None:
    batch = {k: torch.ones(4, 3 if k == "image" else 1, 32, 32) for k in KEYS}
    shift = RandAffined(keys=KEYS, prob=1, translate_range=((8, 8), (0, 0)), mode="nearest", padding_mode="zeros")
    weight = BatchAugment([shift])(batch)["weight"]
    assert weight.sum((1, 2, 3)).tolist() == [24 * 32] * 4


def test_epoch_and_seed_decide_the_draw() -> None:
    def drawn(seed: int, epoch: int, visits: int = 0) -> torch.Tensor:
        augment = BatchAugment([*geometry(), RandGaussianNoised(keys="image", prob=1)], seed)
        for _ in range(visits):
            augment(blob_batch())
        augment.set_epoch(epoch)
        image: torch.Tensor = augment(blob_batch())["image"]
        return image

    assert torch.equal(drawn(1, 5), drawn(1, 5, visits=2))
    assert not torch.equal(drawn(1, 5), drawn(1, 6))
    assert not torch.equal(drawn(1, 5), drawn(2, 5))


def test_samples_of_a_batch_are_drawn_apart() -> None:
    batch = {k: torch.arange(16.0).reshape(1, 1, 4, 4).repeat(16, 1, 1, 1) for k in KEYS}
    out = BatchAugment([RandFlipd(keys=KEYS, prob=0.5, spatial_axis=1)])(batch)["label"]
    flipped = sum(not torch.equal(a, b) for a, b in zip(out, batch["label"], strict=True))
    assert 0 < flipped < 16


def test_tracking_of_meta_data_is_put_back_even_after_an_error() -> None:
    def fails(_: Any) -> Any:
        raise RuntimeError("as told")

    tracked = get_track_meta()
    with pytest.raises(RuntimeError):
        BatchAugment([fails])(blob_batch())
    assert get_track_meta() == tracked


def test_grey_images_have_three_equal_channels_of_the_same_luma() -> None:
    data = {"image": torch.rand(3, 8, 8), "label": torch.rand(1, 8, 8)}
    out = RandGreyd(keys="image", prob=1.0)(data)
    luma = 0.299 * data["image"][0] + 0.587 * data["image"][1] + 0.114 * data["image"][2]
    assert torch.allclose(out["image"], luma.expand(3, 8, 8), atol=1e-6)
    assert out["label"] is data["label"]
    assert data["image"].std(0).max() > 0


def test_grey_happens_as_often_as_asked() -> None:
    grey = RandGreyd(keys="image", prob=0.25)
    grey.set_random_state(seed=0)
    image = torch.tensor([1.0, 0, 0]).reshape(3, 1, 1)
    hits = sum(bool(grey({"image": image})["image"][1] > 0) for _ in range(400))
    assert 70 < hits < 130
    assert RandGreyd(keys="image", prob=0.0)({"image": image})["image"] is image
