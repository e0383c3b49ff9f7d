"""What speaks for or against a label that no one has seen the gold of."""

from __future__ import annotations

import torch
from torch import Tensor


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Return the Dice (B,) of two thresholded masks (B, K, H, W), mean over classes; 1 where both are empty."""
    first, second = a > 0.5, b > 0.5
    total = (first.sum((-2, -1)) + second.sum((-2, -1))).float()
    dice = 2 * (first & second).sum((-2, -1)) / total.clamp(min=1)
    return torch.where(total > 0, dice, torch.ones_like(dice)).mean(1)
