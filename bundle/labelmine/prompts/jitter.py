"""Prompts moved a little: a teacher that then answers otherwise was not sure."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from labelmine.prompts.prompts import Prompts


def jittered(prompts: Prompts, side: Tensor, fraction: float, size: tuple[int, int], seed: int = 0) -> Prompts:
    """Move box edges and points by up to ``fraction`` of the object's side, uniformly.

    The draw depends on the prompt alone, not on its place in the batch. Mask prompts stay as they are.

    Args:
        prompts: N objects.
        side: (N,) length in pixels that the movement is a fraction of, for example the root of the object's area.
        fraction: Of the side, in [0, 1].
        size: (H, W) of the image; nothing leaves it.
        seed: Of the draw.

    Example:
        >>> given = Prompts(image_index=torch.tensor([0]), class_index=torch.tensor([0]),
        ...                 boxes=torch.tensor([[8.0, 8.0, 24.0, 24.0]]))
        >>> moved = jittered(given, torch.tensor([16.0]), 0.1, (32, 32))
        >>> bool(((moved.boxes - given.boxes).abs() <= 1.6).all())
        True
    """
    height, width = size
    boxes, points = prompts.boxes, prompts.points
    if boxes is not None:
        moved = boxes + _noise(boxes, seed) * (fraction * side)[:, None]
        limit = torch.tensor([width, height] * 2).to(moved)
        moved = moved.clamp(min=torch.zeros_like(limit), max=limit)
        low = torch.minimum(torch.minimum(moved[:, :2], moved[:, 2:]), limit[:2] - 1)
        boxes = torch.cat([low, torch.maximum(moved[:, 2:], low + 1)], dim=1)
    if points is not None:
        moved = points + _noise(points.flatten(1), seed).reshape(points.shape) * (fraction * side)[:, None, None]
        limit = torch.tensor([width - 1, height - 1]).to(moved)
        points = moved.clamp(min=torch.zeros_like(limit), max=limit)
    return Prompts(**{**vars(prompts), "boxes": boxes, "points": points})


def _noise(coordinates: Tensor, seed: int) -> Tensor:
    """Return values in [-1, 1] of the shape (N, C), a row's by its content."""
    rows = coordinates.detach().cpu().numpy().astype(np.float32)
    drawn = [np.random.default_rng([seed, zlib.crc32(row.tobytes())]).uniform(-1, 1, row.shape) for row in rows]
    return torch.from_numpy(np.array(drawn, np.float32).reshape(rows.shape)).to(coordinates)
