"""Masks to draw images on, and clean masks from what a generator made."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import get_track_meta, set_track_meta
from monai.transforms import Compose, Rand2DElastic, RandAffine, RandFlip
from numpy.typing import NDArray
from skimage.morphology import disk, opening
from torch import Tensor


def deformed(masks: Tensor, seed: int = 0) -> Tensor:
    """Return new masks like given ones: turned, moved, scaled and bent, each by its own draw.

    Args:
        masks: (B, K, H, W) in [0, 1].
        seed: Of the draws.

    Returns:
        (B, K, H, W) of 0 and 1; one that lost all its pixels comes back as it was.
    """
    side = masks.shape[-1]
    affine = {"rotate_range": 0.5, "translate_range": 0.12 * side, "scale_range": 0.2, "padding_mode": "zeros"}
    transform = Compose(
        [
            RandFlip(prob=0.5, spatial_axis=1),
            RandAffine(prob=1.0, **affine),
            Rand2DElastic(
                spacing=(side / 4, side / 4), magnitude_range=(0.0, side / 24), prob=0.8, padding_mode="zeros"
            ),
        ]
    )
    transform.set_random_state(seed)
    tracked = get_track_meta()
    set_track_meta(False)
    try:
        moved = torch.stack([(torch.as_tensor(transform(mask)) > 0.5).float() for mask in masks])
    finally:
        set_track_meta(tracked)
    lost = ~moved.flatten(1).any(1) & masks.flatten(1).any(1)
    return torch.where(lost.reshape(-1, 1, 1, 1), (masks > 0.5).float(), moved)


def cleaned(masks: Tensor, threshold: float = 0.0, radius: int = 1) -> NDArray[np.bool_]:
    """Threshold the mask channels of made pairs and open them, so that specks vanish (S4).

    Args:
        masks: (B, K, H, W) in [-1, 1].
        threshold: Above it lies foreground.
        radius: Of the disk that opens, in pixels; 0: nothing is opened.

    Returns:
        (B, K, H, W) bool.
    """
    binary: NDArray[np.bool_] = (masks > threshold).cpu().numpy()
    if not radius:
        return binary
    footprint = disk(radius)
    return np.stack([[opening(channel, footprint) for channel in image] for image in binary]).astype(bool)


def hole_around(masks: Tensor, margin: float = 0.1) -> Tensor:
    """Return the dilated lesion (B, 1, H, W) of 0 and 1 that inpainting fills anew.

    Args:
        masks: (B, K, H, W) in [0, 1].
        margin: How far the hole reaches beyond the lesion, fraction of the image's side.
    """
    reach = max(1, round(margin * masks.shape[-1]))
    return F.max_pool2d(masks.amax(1, keepdim=True), 2 * reach + 1, stride=1, padding=reach)
