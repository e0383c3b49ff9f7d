"""Write beside each mask how sure the student is of every pixel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine
from torch import Tensor

from labelmine.data import Item, LabelStore, join_maps, write_maps
from labelmine.handlers.mask_saver import MaskSaver
from labelmine.quality import PixelCalibration, expected_dice
from labelmine.transforms import to_original

#: Names of the maps, which are their folders.
WRONG, SPREAD, PROBABILITY = "wrong", "spread", "probability"


class UncertaintySaver(MaskSaver):
    """Write masks, and before each one its maps, at the image's original size.

    ``wrong`` is the chance that the mask is wrong at a pixel, ``spread`` the standard deviation of the looks, both of
    the class that is least sure; ``probability`` is the calibrated one of each class.

    Args:
        store: Where masks and their manifest go.
        items: Items of the evaluator's images.
        record: What the manifest should say of each mask; ``expected_dice`` is added.
        probabilities: See ``MaskSaver``; written are the calibrated ones.
        looks: Returns mean and spread (B, K, S, S) of the student's looks at the batch that was answered last.
        calibration: Of their mean.
        folder: Where maps go.
    """

    def __init__(
        self,
        store: LabelStore,
        items: Sequence[Item],
        record: Mapping[str, Any] | None = None,
        probabilities: bool = False,
        *,
        looks: Callable[[], tuple[Tensor, Tensor]],
        calibration: PixelCalibration,
        folder: Path,
    ) -> None:
        """Keep what is needed."""
        super().__init__(store, items, record, probabilities)
        self.looks = looks
        self.calibration = calibration
        self.folder = folder

    def __call__(self, engine: Engine) -> None:
        """Write a batch's maps and masks."""
        mean, self._spread = (values.cpu() for values in self.looks())
        self._probability = self.calibration(mean)
        super().__call__(engine)

    def stated(self, row: int, probability: Tensor) -> Tensor:
        """Return the calibrated probabilities, which a fractional segmentation then holds."""
        return to_original(self._probability[row], (probability.shape[-2], probability.shape[-1]))

    def beside(self, item: Item, row: int, mask: Tensor) -> Mapping[str, Any]:
        """Write the maps of one image."""
        size = (mask.shape[-2], mask.shape[-1])
        probability, spread = (to_original(values[row], size) for values in (self._probability, self._spread))
        wrong = probability.where(~mask, 1 - probability)
        maps = {WRONG: wrong.amax(0), SPREAD: spread.amax(0)}
        maps |= dict(zip(map_names(self.store.classes.names)[2:], probability, strict=True))
        write_maps(self.folder, item, {name: values.numpy() for name, values in maps.items()})
        return {"expected_dice": round(expected_dice(mask, probability), 4)}

    def finish(self, engine: Engine) -> None:
        """Join slices of maps to volumes, then finish the masks."""
        join_maps(self.folder, map_names(self.store.classes.names), self.items.values(), self.store.slice_axis)
        super().finish(engine)


def map_names(class_names: Sequence[str]) -> list[str]:
    """Return the names of an image's maps; where there are several classes each has its own probability.

    Example:
        >>> map_names(["polyp"]), map_names(["left lung", "heart"])[2:]
        (['wrong', 'spread', 'probability'], ['probability/1_left_lung', 'probability/2_heart'])
    """
    if len(class_names) == 1:
        return [WRONG, SPREAD, PROBABILITY]
    names = [re.sub(r"[^\w.-]", "_", name) for name in class_names]
    return [WRONG, SPREAD, *(f"{PROBABILITY}/{number}_{name}" for number, name in enumerate(names, start=1))]
