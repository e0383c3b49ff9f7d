"""The strong view of weak-to-strong training: what a pseudo label made from the plain view has to hold for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from labelmine.ranges import check_number
from labelmine.transforms.augment import BatchAugment
from labelmine.transforms.colours import RandomColours

# As UniMatch (Yang et al. 2023) has them in its code: probabilities, and the box's part of the image and its aspect.
GREY, BLUR, MIXED = 0.2, 0.5, 0.5
BOX_AREA, BOX_ASPECT = (0.02, 0.4), 0.3


class StrongView:
    """Change the colours of pseudo-labelled images, blur some and put a piece of one into another (CutMix).

    FixMatch (Sohn et al. 2020) and UniMatch (Yang et al. 2023) learn so that a student answers to a strongly changed
    image what it, or a teacher, answered to the plain one. Gold stays as it is.

    Args:
        strength: Largest relative change of brightness, contrast and saturation, in (0, 1].
        seed: Seed of all draws, see ``set_epoch``.

    Raises:
        ConfigError: When ``strength`` is out of range.
    """

    def __init__(self, strength: float = 0.5, seed: int = 0) -> None:
        """Check and keep the knobs."""
        check_number("strong_view", strength, 0, 1, open_low=True, hint="for example 0.5, or 0 for none")
        self.seed = seed
        self._generator = torch.Generator()
        self._colours = RandomColours(strength, GREY, BLUR, self._generator)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Seed from ``(seed, epoch)``; see ``EpochSeed``."""
        self._generator.manual_seed((self.seed * 1_000_003 + epoch) % 2**32)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch with its pseudo-labelled rows changed.

        Args:
            batch: ``image`` (B, 3, S, S) in [0, 1], ``label`` (B, K, S, S), ``weight`` (B, 1, S, S) and ``is_labeled``
                (B,) bool.
        """
        is_labeled = torch.as_tensor(batch["is_labeled"], dtype=torch.bool, device=batch["image"].device)
        rows = torch.nonzero(~is_labeled).flatten()
        if not len(rows):
            return dict(batch)
        changed = {key: batch[key][rows] for key in BatchAugment.keys}
        changed["image"] = self._colours(changed["image"])
        mixed = self._mixed(changed)
        return {**batch, **{key: batch[key].index_copy(0, rows, mixed[key]) for key in BatchAugment.keys}}

    def _mixed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put a box of another row's image, label and weight into about half of the rows.

        MONAI's ``CutMix`` indexes in a way that torch is about to refuse.
        """
        count, side = len(rows["image"]), rows["image"].shape[-1]
        boxes = self._boxes(count, side) & self._colours.chosen(count, MIXED).reshape(-1, 1, 1, 1)
        boxes = boxes.to(rows["image"].device)
        other = torch.randperm(count, generator=self._generator)
        return {key: torch.where(boxes, value[other], value) for key, value in rows.items()}

    def _boxes(self, count: int, side: int) -> Tensor:
        """Draw (B, 1, S, S) bool, true inside one box a row."""
        area = self._colours.uniform(count, *BOX_AREA)
        ratio = self._colours.uniform(count, math.log(BOX_ASPECT), -math.log(BOX_ASPECT)).exp()
        size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1)
        start = self._colours.uniform((count, 2), 0, 1) * (1 - size)
        place = ((torch.arange(side) + 0.5) / side)[None, None]
        inside = (place >= start[:, :, None]) & (place < (start + size)[:, :, None])
        return (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]
