"""Random flips, turns and scales for whole batches: each row draws its own, one sampling moves them all."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.ranges import check_number


class RandomAffine:
    """Flip, turn, scale and shift each image of a batch.

    MONAI's ``RandAffine`` moves one image at a time; moved together, a batch of 8 takes an eighth of the calls.

    Args:
        turn: Largest angle in degrees, on top of quarter turns; half of the rows are turned.
        scale: Smallest and largest factor by which an image is enlarged.
        shift: Largest shift along each axis, as a part of the side.
        generator: Source of all draws, on the CPU everywhere: a GPU draws the same.

    Raises:
        ConfigError: When a knob is out of range.

    Example:
        >>> move = RandomAffine(45, (0.6, 1.4), 0.1, torch.Generator().manual_seed(0))
        >>> image, label = move(torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32))
        >>> image.shape, sorted(label.unique().tolist())
        (torch.Size([2, 3, 32, 32]), [0.0, 1.0])
    """

    def __init__(self, turn: float, scale: tuple[float, float], shift: float, generator: torch.Generator) -> None:
        """Check and keep the knobs."""
        check_number("turn", turn, 0, 180)
        check_number("scale", scale[0], 0, scale[1], open_low=True)
        check_number("shift", shift, 0, 1)
        self.turn = turn
        self.scale = scale
        self.shift = shift
        self.generator = generator

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return both moved alike.

        Args:
            image: (B, C, S, S), sampled bilinearly.
            label: (B, L, S, S), sampled by nearest neighbour.

        Returns:
            What comes in from outside is 0 in both.
        """
        grid = F.affine_grid(self._inverse(len(image)).to(image), list(image.shape), align_corners=False)
        return (
            F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False),
            F.grid_sample(label, grid.to(label), mode="nearest", padding_mode="zeros", align_corners=False),
        )

    def _inverse(self, count: int) -> Tensor:
        """Draw (B, 2, 3): where a pixel of the result comes from, both in [-1, 1]."""
        quarter = torch.randint(0, 4, (count,), generator=self.generator) * (math.pi / 2)
        angle = quarter + math.radians(self.turn) * self._uniform(count, -1, 1) * self._chosen(count)
        scale = self._uniform(count, *self.scale)
        flip = 1 - 2.0 * self._chosen(count)
        cos, sin = angle.cos() / scale, angle.sin() / scale
        shift = 2 * self.shift * self._uniform((2, count), -1, 1)
        rows = torch.stack([cos * flip, -sin, shift[0], sin * flip, cos, shift[1]], dim=1)
        return rows.reshape(count, 2, 3)

    def _uniform(self, size: int | tuple[int, ...], low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=self.generator)

    def _chosen(self, count: int) -> Tensor:
        return (self._uniform(count, 0, 1) < 0.5).float()
