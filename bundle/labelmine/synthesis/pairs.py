"""Gold images and masks as a generator sees them, and batches that it learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import CacheDataset
from monai.transforms import Compose
from torch import Tensor

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.errors import DataError
from labelmine.synthesis.process import NoiseProcess

FEWEST_GOLD = 16  # our choice: S4's scarcest setting


class SquareView:
    """Image and mask as squares: the whole image, its sides brought to one length.

    Args:
        image_size: Side in pixels.
    """

    def __init__(self, image_size: int) -> None:
        """Keep the size."""
        self.image_size = image_size

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``image`` (3, S, S) and ``label`` (K, S, S) in [-1, 1], float32, and what else the item has."""
        size = (self.image_size, self.image_size)
        view = dict(item)
        for key in ("image", "label"):
            if key in item:
                value = torch.as_tensor(item[key], dtype=torch.float32)[None]
                view[key] = (
                    F.interpolate(value, size=size, mode="bilinear", antialias=True, align_corners=False)[0] * 2 - 1
                )
        if "label" in view:
            view["label"] = torch.where(view["label"] > 0, 1.0, -1.0)
        return view


def gold_of_generator(images: ImageSet) -> list[Item]:
    """Return the gold that a generator may learn from: exactly that which trains the student it is compared with.

    Raises:
        DataError: Too few images.
    """
    if len(images.train) < FEWEST_GOLD:
        raise DataError(
            f"{images.name}: {len(images.train)} gold images to train on, expected {FEWEST_GOLD} or more: of fewer a "
            "generator learns each by heart, and makes copies. Add masks, or raise --labeled_fraction"
        )
    return images.train


def refuse_absent_classes(views: Sequence[Mapping[str, Any]], class_names: Sequence[str]) -> None:
    """Stop where a class has no pixel in any view: masks of it could never be made.

    Raises:
        DataError: Naming the classes.
    """
    seen = torch.stack([(view["label"] > 0).flatten(1).any(1) for view in views]).any(0)
    absent = [name for name, found in zip(class_names, seen.tolist(), strict=True) if not found]
    if absent:
        raise DataError(
            f"no gold training image shows {', '.join(absent)} at this size, so none can be made. Raise "
            "--labeled_fraction or --generator_size, or leave the class out (--classes)"
        )


def generator_views(items: Sequence[Item], images: ImageSet, image_size: int, cache_num: int = 2000) -> CacheDataset:
    """Return the squares of items, read once."""
    load = LoadItem(images.classes, images.window, images.slice_axis)
    chain = Compose([load, SquareView(image_size)])
    return CacheDataset(list(items), chain, cache_num=cache_num, num_workers=2, progress=False)


class PrepareNoise:
    """``prepare_batch`` of a generator's trainer: flip, draw times and noise, and say what is to be answered.

    Args:
        process: The path from image to noise.
        content: See ``Generator``.
        kinds: Kind of each image by id, where the generator knows kinds.
        seed: Of all draws, with the epoch.
    """

    def __init__(
        self, process: NoiseProcess, content: str, kinds: Mapping[str, int] | None = None, seed: int = 0
    ) -> None:
        """Keep them."""
        self.process = process
        self.content = content
        self.kinds = dict(kinds or {})
        self.seed = seed
        self._generator = torch.Generator()
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Seed from ``(seed, epoch)``; see ``EpochSeed``."""
        self._generator.manual_seed((self.seed * 1_000_003 + epoch) % 2**32)

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Tensor]]:
        """Return noisy images (B, C, S, S), velocities of the same shape, and what else the network takes."""
        parts = {key: batch[key].to(device, non_blocking=non_blocking) for key in ("image", "label") if key in batch}
        flips = torch.rand(2, len(parts["image"]), generator=self._generator) < 0.5
        for dim, chosen in zip((-2, -1), flips.to(device), strict=True):
            parts = {k: torch.where(chosen[:, None, None, None], v.flip(dim), v) for k, v in parts.items()}
        images = torch.cat([parts["image"], parts["label"]], 1) if self.content == "pairs" else parts["image"]
        times = self.process.draw_times(len(images), self._generator).to(device)
        noise = torch.randn(images.shape, generator=self._generator).to(images)
        conditioning = {"times": times}
        if self.kinds:
            conditioning["clusters"] = torch.tensor([self.kinds[name] for name in batch["id"]], device=device)
        if self.content == "images_on_masks":
            conditioning["masks"] = (parts["label"] > 0).float()
        return self.process.noised(images, noise, times), self.process.target(images, noise, times), (), conditioning
