"""The augmentation of S1: flips, turns and transposes."""

from __future__ import annotations

from monai.transforms import RandFlipd, RandRotate90d, RandRotated

from labelmine.transforms.augment import BatchAugment


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
