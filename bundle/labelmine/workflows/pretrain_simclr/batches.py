"""Batches without masks: plain views in random order, and two random views of each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, SelectItemsd
from torch import Tensor
from torch.utils.data import RandomSampler

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.errors import ConfigError, DataError
from labelmine.pretrain import RandomViews
from labelmine.transforms import StudentView, view_extent


def pretraining_items(images: ImageSet) -> list[Item]:
    """Return training and unlabelled images without their masks; validation and test gold stay out of sight."""
    return [
        Item(**{k: v for k, v in item.items() if k not in ("label", "dropped_label")})  # type: ignore[typeddict-item]
        for item in images.train + images.unlabeled
    ]


def pretraining_loader(
    images: ImageSet,
    image_size: int,
    batch_size: int,
    steps: int | None = None,
    cache_num: int = 2000,
    num_workers: int = 0,
) -> DataLoader:
    """Return a loader of plain views in random order, none twice in an epoch: an image must not be its own negative.

    Args:
        images: The image set.
        image_size: Side of the view in pixels.
        batch_size: Images per batch, 2 or more; every batch is full.
        steps: Batches per epoch at most; None: as many as the set fills.
        cache_num: Views that are read once and kept in memory.
        num_workers: Processes that load; 0 is fastest while views are cached.

    Raises:
        ConfigError: A batch of fewer than two images.
        DataError: Fewer images than a batch takes.
    """
    if batch_size < 2:
        raise ConfigError(
            f"batch_size: expected 2 or more, as an image is told apart from the batch's others; got {batch_size}"
        )
    items = pretraining_items(images)
    if len(items) < batch_size:
        raise DataError(
            f"{images.name}: {len(items)} images to learn from (training and unlabelled), fewer than a batch of "
            f"{batch_size}. Add images, they need no masks; or give a smaller --batch_size, 2 or more"
        )
    load = LoadItem(images.classes, images.window, images.slice_axis)
    view = Compose([load, StudentView(image_size), SelectItemsd(["image", "original_size"])])
    dataset = CacheDataset(items, view, cache_num=cache_num, num_workers=2, progress=False)
    batches = min(steps or len(items), len(items) // batch_size)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=RandomSampler(dataset, num_samples=batches * batch_size),
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )


class PreparePartners:
    """``prepare_batch`` of the trainer: two random views of each image, and which row shows the same image.

    Args:
        views: Draws the views.
    """

    def __init__(self, views: RandomViews) -> None:
        """Keep the views."""
        self.views = views

    def set_epoch(self, epoch: int) -> None:
        """Seed the views; see ``EpochSeed``."""
        self.views.set_epoch(epoch)

    def __call__(
        self, batch: Mapping[str, Tensor], device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """Return views (2B, 3, S, S) and the row (2B,) of each view's partner."""
        images = batch["image"].to(device, non_blocking=non_blocking)
        sizes = batch["original_size"].tolist()
        extents = torch.tensor([view_extent((height, width), images.shape[-1]) for height, width in sizes])
        partners = torch.arange(2 * len(images), device=images.device).roll(len(images))
        return self.views(images, extents), partners
