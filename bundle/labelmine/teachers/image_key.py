"""What an image's embedding is looked up by: the image's content."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

ROW_BITS = 60  # zarr's indices are signed 64-bit; of a million images two share a row with probability 4e-7


class ImageKey(NamedTuple):
    """What an image is looked up by: its (C, H, W), and 60 bits of its pixels' sha256."""

    shape: tuple[int, ...]
    row: int


def image_key(image: Tensor) -> ImageKey:
    """Return the key of one (C, H, W) image; equal float32 pixels, equal key."""
    shape = tuple(image.shape)
    digest = hashlib.sha256(str(shape).encode())
    digest.update(image.detach().to("cpu", torch.float32).contiguous().numpy().data)
    return ImageKey(shape, int.from_bytes(digest.digest()[:8], "big") >> (64 - ROW_BITS))
