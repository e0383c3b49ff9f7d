"""Batches for a student: views of items, drawn by share of gold, and what a trainer does with each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose
from torch import Tensor
from torch.utils.data import DistributedSampler, RandomSampler, Sampler, WeightedRandomSampler

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.ranges import check_number
from labelmine.training.parallel import RANK_STRIDE
from labelmine.transforms import Augment, BatchAugment, SmallerAtFirst, StrongView, StudentView

Batch = Mapping[str, Any]


def view_dataset(
    items: Sequence[Item],
    images: ImageSet,
    image_size: int,
    cache_num: int = 2000,
    teacher_size: int | None = None,
) -> CacheDataset:
    """Return the student's views of items; up to ``cache_num`` of them are read once and kept in memory.

    Where a teacher is to label them and looks closer than the student, they hold its view too; see ``StudentView``.
    """
    load = LoadItem(images.classes, images.window, images.slice_axis)
    view = StudentView(image_size, teacher_size)
    return CacheDataset(list(items), Compose([load, view]), cache_num=cache_num, num_workers=2, progress=False)


def student_loader(
    dataset: CacheDataset,
    batch_size: int,
    shuffle: bool = True,
    steps: int | None = None,
    gold_share: float | None = None,
    num_workers: int = 0,
) -> DataLoader:
    """Return a loader of views.

    Of several ranks each draws batches of its own: with replacement where ``steps`` or ``gold_share`` say so, else
    together they pass over the set. Without ``shuffle`` every rank gets all views.

    Args:
        dataset: Views, as ``view_dataset`` makes them.
        batch_size: Images per batch.
        shuffle: Whether to draw in random order (from torch's global generator, which ``EpochSeed`` seeds).
        steps: Batches per epoch, drawn with replacement; None: one pass over the set. The same number for two students
            makes their training equally long.
        gold_share: Expected fraction of gold in a batch of gold and pseudo labels, or made pairs; None: as the set is.
            Draws with replacement.
        num_workers: Processes that load; 0 is fastest while views are cached.

    Raises:
        ConfigError: When a knob is out of its range.
    """
    check_number("batch_size", batch_size, 1, whole=True)
    check_number("num_workers", num_workers, 0, whole=True)
    if steps is not None:
        check_number("steps_per_epoch", steps, 1, whole=True, hint="or null for one pass over the set")
    if gold_share is not None:
        check_number("gold_share", gold_share, 0, 1)
    sampler: Sampler[int] | None = None
    samples = steps * batch_size if steps else math.ceil(len(dataset) / idist.get_world_size())
    if shuffle and gold_share is not None:
        sampler = WeightedRandomSampler(_shares(dataset, gold_share), samples, replacement=True)
    elif shuffle and steps is None and idist.get_world_size() > 1:
        sampler = DistributedSampler(dataset)
    elif shuffle:
        sampler = RandomSampler(dataset, replacement=steps is not None, num_samples=samples if steps else None)
    # A last batch of one image would leave batch normalisation a single value at the deepest layer.
    drop_last = shuffle and samples > batch_size
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )


class PrepareStudentBatch:
    """``prepare_batch`` of trainer and evaluator: move to the device, shrink, augment, join label and weight.

    Args:
        augment: Augmentation of whole batches; None for validation.
        strong: What pseudo-labelled images go through after it; None: nothing.
        smaller: What shrinks batches of the first epochs; None: nothing.
    """

    def __init__(
        self,
        augment: Augment | None = None,
        strong: StrongView | None = None,
        smaller: SmallerAtFirst | None = None,
    ) -> None:
        """Keep what a batch goes through."""
        self.augment = augment
        self.strong = strong
        self.smaller = smaller

    def set_epoch(self, epoch: int) -> None:
        """Seed the augmentations, on each rank differently; see ``EpochSeed``."""
        if self.smaller is not None:
            self.smaller.set_epoch(epoch)
        for randomness in (self.augment, self.strong):
            if randomness is not None:
                randomness.set_epoch(epoch + RANK_STRIDE * idist.get_rank())

    def __call__(
        self, batch: Batch, device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, S, S) and targets (B, K + 1, S, S): K label channels, then the weight.

        S is smaller than in the batch where ``smaller`` says so.
        """
        moved = {k: batch[k].to(device, non_blocking=non_blocking) for k in BatchAugment.keys}
        if self.smaller is not None:
            moved = self.smaller(moved)
        if self.augment is not None:
            moved = self.augment(moved)
        if self.strong is not None:
            moved = self.strong({**moved, "is_labeled": batch["is_labeled"]})
        return moved["image"], torch.cat([moved["label"], moved["weight"]], dim=1)


def _shares(dataset: Any, gold_share: float) -> list[float]:
    gold = ["label" in item and not item.get("made", False) for item in dataset.data]
    n_gold, n_pseudo = sum(gold), len(gold) - sum(gold)
    if not n_gold or not n_pseudo:
        return [1.0] * len(gold)
    return [gold_share / n_gold if g else (1 - gold_share) / n_pseudo for g in gold]
