"""Random grey images: a teacher must not lean on colour alone.

MONAI has no such transform, and its ``RandLambdad`` tracks meta data.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform


class RandGreyd(RandomizableTransform, MapTransform):  # type: ignore[misc]  # MONAI is untyped
    """Replace RGB images (3, H, W) by three equal channels, their ITU-R 601 luma, with a given probability.

    Args:
        keys: Keys of the images.
        prob: Probability in [0, 1].
    """

    def __init__(self, keys: KeysCollection, prob: float = 0.1) -> None:
        """Keep the knobs."""
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy with all images grey, or none."""
        out = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(out):
                luma = torch.tensor([0.299, 0.587, 0.114]).to(out[key]).reshape(3, 1, 1)
                out[key] = (out[key] * luma).sum(0, keepdim=True).repeat(3, 1, 1)
        return out
