"""A teacher as a network of images and prompts, and batches of both, so that MONAI's trainer can train it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from labelmine.prompts import Prompts, PromptSimulator
from labelmine.teachers.base import TeacherMasks
from labelmine.teachers.compact import CompactTeacher
from labelmine.transforms import BatchAugment

Batch = Mapping[str, Any]


class PromptedForward(nn.Module):
    """A teacher as a network of images and prompts, so that MONAI's ``SupervisedTrainer`` can train it.

    Args:
        teacher: The teacher to train.
        bfloat16: Run under bfloat16 autocast (faster on a GPU and on CPUs with AVX512-BF16).
    """

    def __init__(self, teacher: CompactTeacher, bfloat16: bool = False) -> None:
        """Keep the teacher as the only submodule."""
        super().__init__()
        self.teacher = teacher.to(memory_format=torch.channels_last)
        self.mixed = bfloat16

    def forward(self, images: Tensor, prompts: Prompts) -> TeacherMasks:
        """Encode (B, 3, H, W) images in [0, 1] and answer the prompts, with gradients."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            return self.teacher.decode(self.teacher.encode(images), prompts, (images.shape[-2], images.shape[-1]))


class PrepareSimulatedPrompts:
    """``prepare_batch`` of a trainer: augment the batch, draw an object per image and a prompt for it.

    Args:
        augment: Called on the batch's ``image``, ``label`` and ``weight``.
        simulate: Turns gold (B, 1, H, W) into prompts and object masks.
    """

    def __init__(self, augment: BatchAugment, simulate: PromptSimulator) -> None:
        """Keep both steps."""
        self.augment = augment
        self.simulate = simulate

    def set_epoch(self, epoch: int) -> None:
        """Seed both steps from the epoch's number; see ``EpochSeed``."""
        self.augment.set_epoch(epoch)
        self.simulate.set_epoch(epoch)

    def __call__(
        self, batch: Batch, device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor, tuple[Prompts], dict[str, Any]]:
        """Return images, targets (N, 1, H, W), the network's further arguments and no keyword arguments."""
        batch = self.augment(batch)
        prompts, targets = self.simulate(batch["label"].amax(1, keepdim=True))
        images = batch["image"].to(device, non_blocking=non_blocking)
        return images, targets.to(device, non_blocking=non_blocking), (prompts.to(device),), {}
