from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.schedulers import DDIMScheduler
from PIL import Image
from torch import Tensor

from labelmine.data import ClassMap, ImageSet, Item
from labelmine.errors import DataError
from labelmine.synthesis import (
    NoiseProcess,
    PrepareNoise,
    SquareView,
    generator_views,
    gold_of_generator,
    refuse_absent_classes,
)
from labelmine.synthesis.process import TRAIN_STEPS, Kind

KINDS: list[Kind] = ["flow", "v_prediction"]
CONTENTS = ["pairs", "images", "images_on_masks"]


def image_set(items: list[Item], classes: ClassMap | None = None) -> ImageSet:
    return ImageSet("polyps", Path(), items, classes or ClassMap(), None, -1, {})


def batch(count: int = 64, side: int = 6) -> dict[str, Any]:
    """Squares as a loader gives them; the mask is where the first colour is above the middle."""
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(7)) * 2 - 1
    labels = torch.where(images[:, :1] > 0, 1.0, -1.0)
    return {"id": [f"i{n}" for n in range(count)], "image": images, "label": labels}


def undone(noisy: Tensor, target: Tensor, times: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Return the images and the noise that noisy images and velocities were made of, by the papers' formulas."""
    if kind == "flow":
        sigma = (times / TRAIN_STEPS).reshape(-1, 1, 1, 1)
        return noisy + sigma * target, noisy - (1 - sigma) * target
    kept = DDIMScheduler(TRAIN_STEPS, schedule="cosine").alphas_cumprod[times].reshape(-1, 1, 1, 1)
    signal, sigma = kept.sqrt(), (1 - kept).sqrt()
    return signal * noisy - sigma * target, sigma * noisy + signal * target


def flipped(images: Tensor) -> list[Tensor]:
    return [images, images.flip(-1), images.flip(-2), images.flip(-1, -2)]


@settings(max_examples=25, deadline=None)
@given(height=st.integers(8, 40), half=st.integers(4, 20), side=st.sampled_from([8, 16, 32]))
def test_any_image_becomes_a_square_of_its_whole_width(height: int, half: int, side: int) -> None:
    image = torch.rand(3, height, 2 * half, generator=torch.Generator().manual_seed(height))
    label = torch.zeros(2, height, 2 * half)
    label[0, :, :half] = 1  # the left half stays the left half, however the sides change
    view = SquareView(side)({"id": "a", "image": image, "label": label})
    assert view["id"] == "a"
    assert view["image"].shape == (3, side, side)
    assert view["image"].dtype == view["label"].dtype == torch.float32
    assert view["image"].abs().max() <= 1 + 1e-6
    left = torch.full((side, side), -1.0)
    left[:, : side // 2] = 1
    assert torch.equal(view["label"], torch.stack([left, torch.full((side, side), -1.0)]))


def test_black_and_white_are_the_ends_of_the_range() -> None:
    image = torch.cat([torch.zeros(3, 10, 5), torch.ones(3, 10, 5)], dim=2)
    view = SquareView(20)({"image": image})
    assert "label" not in view
    torch.testing.assert_close(view["image"][:, :, :8], torch.full((3, 20, 8), -1.0))
    torch.testing.assert_close(view["image"][:, :, -8:], torch.full((3, 20, 8), 1.0))


def test_views_of_images_of_many_sizes_stack(tmp_path: Path) -> None:
    items = []
    for number, size in enumerate([(40, 40), (64, 32), (31, 57)]):
        for name, colour in (("image", (255, 0, 0)), ("mask", (255, 255, 255))):
            Image.new("RGB", size, colour).save(tmp_path / f"{name}{number}.png")
        items.append(Item(id=str(number), image=str(tmp_path / f"image{number}.png"), group=str(number)))
    items[1]["label"] = str(tmp_path / "mask1.png")
    views = list(generator_views(items, image_set(items), 16))
    assert [view["id"] for view in views] == ["0", "1", "2"]
    images, labels = (torch.stack([torch.as_tensor(view[key]) for view in views]) for key in ("image", "label"))
    assert images.shape == (3, 3, 16, 16)
    torch.testing.assert_close(images[:, 0], torch.ones(3, 16, 16))
    torch.testing.assert_close(images[:, 1:], -torch.ones(3, 2, 16, 16))
    assert labels.flatten(1).mean(1).tolist() == [-1, 1, -1]  # without gold: background


def test_gold_of_a_generator_is_the_training_gold(make_items: Callable[..., list[Item]]) -> None:
    items = make_items(20)
    for number, item in enumerate(items):
        item["split"] = "train" if number < 16 else "val"
    assert gold_of_generator(image_set(items)) == items[:16]


def test_few_gold_images_are_refused(make_items: Callable[..., list[Item]]) -> None:
    items = make_items(20)
    for number, item in enumerate(items):
        item["split"] = "train" if number < 15 else "unlabeled"
    with pytest.raises(
        DataError,
        match=r"^polyps: 15 gold images to train on, expected 16 or more: of fewer a generator learns each by heart, "
        r"and makes copies. Add masks, or raise --labeled_fraction$",
    ):
        gold_of_generator(image_set(items))


def test_classes_that_no_view_shows_are_refused() -> None:
    labels = -torch.ones(2, 3, 4, 4)
    labels[0, 0, 1, 1] = 1
    views = [{"label": label} for label in labels]
    with pytest.raises(DataError, match=r"^no gold training image shows spleen, tumour at this size.*--classes"):
        refuse_absent_classes(views, ["liver", "spleen", "tumour"])
    labels[1, 1:, 0, 0] = 1
    refuse_absent_classes(views, ["liver", "spleen", "tumour"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", CONTENTS)
def test_targets_are_of_the_images_that_were_flipped_with_their_masks(kind: Kind, content: str) -> None:
    given, process = batch(), NoiseProcess(kind)
    noisy, target, extra, told = PrepareNoise(process, content)(given, "cpu")
    images, noise = undone(noisy, target, told["times"], kind)
    # What belongs together goes the same way: as one stack it is one of the four flips of the stack that was given.
    together = [images] if content == "images" else [images[:, :3], images[:, 3:] if content == "pairs" else None]
    if content == "images_on_masks":
        assert set(told["masks"].unique().tolist()) == {0, 1}
        together[1] = told["masks"] * 2 - 1
    stacked = torch.cat([part for part in together if part is not None], dim=1)
    plain = given["image"] if content == "images" else torch.cat([given["image"], given["label"]], dim=1)
    errors = torch.stack([(stacked - flip).abs().flatten(1).amax(1) for flip in flipped(plain)])
    assert errors.amin(0).max() < 1e-3
    assert set(errors.argmin(0).tolist()) == {0, 1, 2, 3}
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05
    torch.testing.assert_close(target, process.target(images, noise, told["times"]), atol=1e-3, rtol=0)
    assert extra == ()
    assert set(told) == {"times"} | ({"masks"} if content == "images_on_masks" else set())


@pytest.mark.parametrize("content", CONTENTS)
def test_an_epoch_draws_as_it_did_before(content: str) -> None:
    given = batch(8)

    def drawn(seed: int, epoch: int, batches_before: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        prepare = PrepareNoise(NoiseProcess(), content, seed=seed)
        for _ in range(batches_before):
            prepare(given, "cpu")
        prepare.set_epoch(epoch)
        noisy, target, _, told = prepare(given, "cpu")
        return noisy, target, told["times"]

    first = drawn(0, 3)
    for again, other in zip(first, drawn(0, 3, batches_before=2), strict=True):
        assert torch.equal(again, other)
    for seed, epoch in ((0, 4), (1, 3)):
        assert not torch.equal(first[0], drawn(seed, epoch)[0])


def test_a_second_batch_of_an_epoch_is_another_draw() -> None:
    given, prepare = batch(8), PrepareNoise(NoiseProcess(), "pairs")
    assert not torch.equal(prepare(given, "cpu")[0], prepare(given, "cpu")[0])


def test_kinds_are_told_by_id() -> None:
    given = batch(3)
    kinds = {"i0": 2, "i1": 0, "i2": 1}
    told = PrepareNoise(NoiseProcess(), "images", kinds)(given, "cpu")[3]
    assert told["clusters"].tolist() == [2, 0, 1]
    assert told["clusters"].dtype == torch.int64


def test_images_alone_need_no_masks() -> None:
    given = {key: value for key, value in batch(4).items() if key != "label"}
    noisy, target, _, told = PrepareNoise(NoiseProcess(), "images")(given, "cpu")
    assert noisy.shape == target.shape == (4, 3, 6, 6)
    assert set(told) == {"times"}
