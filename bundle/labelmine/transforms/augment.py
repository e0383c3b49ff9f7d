"""Random augmentation of a whole batch, after its labels are known.

Labels come from the plain view (the teacher is paid for once), so image, label and weight are augmented together and
only afterwards. Pixels that a rotation brings in from outside get weight 0 and are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.data import get_track_meta, set_track_meta
from monai.transforms import Compose
from torch import Tensor


class BatchAugment:
    """Apply MONAI dictionary transforms to each sample of a batch.

    Args:
        transforms: Dictionary transforms for the keys ``image``, ``label`` and ``weight``, each (C, H, W).
        seed: Seed of their randomness, see ``set_epoch``.

    Example:
        >>> from monai.transforms import RandFlipd
        >>> augment = BatchAugment([RandFlipd(keys=("image", "label", "weight"), prob=1.0, spatial_axis=1)])
        >>> batch = {k: torch.arange(4.0).reshape(1, 1, 2, 2) for k in ("image", "label", "weight")}
        >>> augment(batch)["image"].flatten().tolist()
        [1.0, 0.0, 3.0, 2.0]
    """

    keys = ("image", "label", "weight")

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], seed: int = 0) -> None:
        """Compose the transforms and seed them."""
        self.transform = Compose(transforms)
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Seed from ``(seed, epoch)``, so that a resumed run draws what the uninterrupted one would have drawn."""
        self.transform.set_random_state(seed=(self.seed * 1_000_003 + epoch) % 2**32)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch with its tensors augmented, sample by sample; other keys are passed on."""
        tracked = get_track_meta()
        set_track_meta(False)  # plain tensors: the history of applied operations is not needed and costs time
        try:
            samples = [self.transform(sample) for sample in _samples(batch, self.keys)]
        finally:
            set_track_meta(tracked)
        return {**batch, **{key: torch.stack([s[key] for s in samples]) for key in self.keys}}


def _samples(batch: Mapping[str, Any], keys: Sequence[str]) -> list[dict[str, Tensor]]:
    return [{key: batch[key][i] for key in keys} for i in range(len(batch["image"]))]
