"""Augmentations that configs name: S1's flips and turns, and what a teacher learns from besides."""

from __future__ import annotations

from monai.transforms import RandAdjustContrastd, RandAffined, RandFlipd, RandRotate90d, RandRotated

from labelmine.transforms.augment import BatchAugment
from labelmine.transforms.grey import RandGreyd


def flips_and_turns(seed: int = 0, probability: float = 0.5) -> BatchAugment:
    """Return flips along both axes, quarter turns, and turns by up to 45 degrees, each at the given probability.

    Args:
        seed: Of their randomness, see ``BatchAugment``.
        probability: Of each; S1 has 0.5.
    """
    keys = BatchAugment.keys
    return BatchAugment(
        [
            RandFlipd(keys, prob=probability, spatial_axis=0),
            RandFlipd(keys, prob=probability, spatial_axis=1),
            RandRotate90d(keys, prob=probability),
            RandRotated(
                keys,
                prob=probability,
                range_x=0.785,  # radians: 45 degrees
                mode=["bilinear", "nearest", "nearest"],
                padding_mode="zeros",
            ),
        ],
        seed,
    )


def flips_scales_and_colours(seed: int = 0) -> BatchAugment:
    """Return flips, quarter turns, turns, scales from three quarters to double, contrast, and at times grey for colour.

    Args:
        seed: Of their randomness, see ``BatchAugment``.
    """
    keys = BatchAugment.keys
    return BatchAugment(
        [
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandFlipd(keys, prob=0.5, spatial_axis=1),
            RandRotate90d(keys, prob=0.5),
            RandAffined(
                keys,
                prob=0.7,
                rotate_range=0.5,  # radians
                scale_range=[(-0.5, 0.25)] * 2,  # of the grid: below 0 enlarges, so that objects fill the view
                translate_range=[40, 40],  # pixels
                mode=["bilinear", "nearest", "nearest"],
                padding_mode="zeros",
            ),
            RandAdjustContrastd("image", prob=0.5, gamma=(0.6, 1.6)),
            RandGreyd("image", prob=0.25),
        ],
        seed,
    )
