"""Grids of made images with the outlines of their masks, to be looked at."""

from __future__ import annotations

import numpy as np
import torch
from skimage.segmentation import mark_boundaries
from torch import Tensor
from torchvision.utils import make_grid

from labelmine.data import encode_png

COLUMNS = 8


def grid_png(images: Tensor, masks: Tensor | None = None, columns: int = COLUMNS) -> bytes:
    """Return a PNG of all images, outlined where there are masks.

    Args:
        images: (N, 3, H, W) in [0, 1].
        masks: (N, K, H, W) of 0 and 1; None: no outlines.
        columns: Images in a row.
    """
    if masks is not None:
        images = torch.stack([_outlined(i, m) for i, m in zip(images, masks, strict=True)])
    grid = make_grid(images.clamp(0, 1), nrow=columns, padding=1)
    return encode_png((grid.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def _outlined(image: Tensor, mask: Tensor) -> Tensor:
    marked = mark_boundaries(image.permute(1, 2, 0).numpy(), mask.amax(0).numpy().astype(np.uint8), color=(1, 0.83, 0))
    return torch.from_numpy(marked).permute(2, 0, 1).float()
