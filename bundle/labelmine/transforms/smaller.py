"""Progressive resizing: the first epochs of a training see smaller images, which is faster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

SIDE = 0.5  # of the view, rounded up to what the encoder of the student can halve five times
MULTIPLE = 32


class SmallerAtFirst:
    """Shrink batches of the first epochs to half their side (Howard 2018; EfficientNetV2, Tan and Le 2021).

    A side that five halvings do not divide is the next larger that they do: 160 pixels become 96.

    Args:
        epochs: How many of the first epochs see smaller images.

    Example:
        >>> import torch
        >>> batch = {"image": torch.rand(1, 3, 160, 160), "label": torch.ones(1, 1, 160, 160)}
        >>> SmallerAtFirst(epochs=3)(batch)["label"].shape
        torch.Size([1, 1, 96, 96])
    """

    def __init__(self, epochs: int) -> None:
        """Keep the number of epochs; the first one is at hand."""
        self.epochs = epochs
        self.set_epoch(1)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next batches belong to; the first is 1."""
        self._small = epoch <= self.epochs

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch with ``image`` averaged down, labels and weights (all B, C, S, S) by nearest neighbour."""
        if not self._small:
            return dict(batch)
        return {key: _shrunk(value, key) for key, value in batch.items()}


def _shrunk(value: Tensor, key: str) -> Tensor:
    side = math.ceil(SIDE * value.shape[-1] / MULTIPLE) * MULTIPLE
    if key == "image":
        return F.interpolate(value, size=(side, side), mode="bilinear", antialias=True)
    return F.interpolate(value, size=(side, side), mode="nearest-exact")
