"""What students learn from by default: moved, scaled and recoloured batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from labelmine.transforms.affine import RandomAffine
from labelmine.transforms.augment import BatchAugment
from labelmine.transforms.colours import RandomColours


class MovedAndRecoloured:
    """Augment a whole batch at once, after its labels are known; used as ``BatchAugment`` is.

    Args:
        seed: Of all draws, see ``set_epoch``.
        turn: Largest angle in degrees, on top of flips and quarter turns.
        scale: Smallest and largest factor by which an image is enlarged.
        shift: Largest shift, as a part of the side.
        colour: Largest relative change of brightness, contrast and saturation.
        grey: Probability that an image loses its colours.
        blur: Probability that an image is blurred.
    """

    def __init__(
        self,
        seed: int = 0,
        turn: float = 45.0,
        scale: tuple[float, float] = (0.6, 1.4),
        shift: float = 0.1,
        colour: float = 0.4,
        grey: float = 0.1,
        blur: float = 0.1,
    ) -> None:
        """Check and keep the knobs."""
        self.seed = seed
        self._generator = torch.Generator()
        self._affine = RandomAffine(turn, (scale[0], scale[1]), shift, self._generator)
        self._colours = RandomColours(colour, grey, blur, self._generator)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Seed from ``(seed, epoch)``; see ``EpochSeed``."""
        self._generator.manual_seed((self.seed * 1_000_003 + epoch) % 2**32)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the batch with ``image``, ``label`` and ``weight`` augmented; other keys are passed on.

        Pixels that come in from outside get weight 0 and are ignored.
        """
        image, label, weight = (batch[key] for key in BatchAugment.keys)
        moved, targets = self._affine(image, torch.cat([label, weight], dim=1))
        # A new colour of what came in from outside does no harm: its weight is 0.
        return {**batch, "image": self._colours(moved), "label": targets[:, :-1], "weight": targets[:, -1:]}


#: What augments training batches.
Augment = BatchAugment | MovedAndRecoloured
