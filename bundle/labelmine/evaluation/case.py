"""One image with the outlines that a reader should compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmine.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image with the outlines that a reader should compare.

    Attributes:
        id: The item's id, printed above the pictures.
        image: (H, W, 3) float in [0, 1], at the size of the masks.
        gold: (K, H, W) or (H, W) bool; None where there is no gold.
        predictions: Who drew (``supervised``, ``mined``, ``student``, ``teacher`` ...) and the mask, shaped as `gold`;
            one picture each, in this order.
        boxes: (N, 4) prompts x0, y0, x1, y1 in pixels of `image`, exclusive ends.
        points: (N, 2) prompts (x, y) in pixels of `image`.
        point_labels: (N,) 1 positive, 0 negative, -1 padding (not drawn); all positive when absent.
        dice: Dice of each prediction against gold, by the names in `predictions`, where known.
        caption: Why this case is shown, e.g. ``median`` or ``rejected: teacher and student disagree``.
    """

    id: str
    image: npt.NDArray[np.floating[Any]]
    gold: npt.NDArray[np.bool_] | None = None
    predictions: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    boxes: npt.NDArray[np.floating[Any]] | None = None
    points: npt.NDArray[np.floating[Any]] | None = None
    point_labels: npt.NDArray[np.integer[Any]] | None = None
    dice: Mapping[str, float] = field(default_factory=dict)
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse masks that would be drawn in the wrong place."""
        if self.image.ndim != 3 or self.image.shape[2] != 3:
            raise DataError(f"case {self.id!r}: expected an image (H, W, 3), got {self.image.shape}")
        masks = dict(self.predictions) | ({} if self.gold is None else {"gold": self.gold})
        for name, mask in masks.items():
            if mask.shape[-2:] != self.image.shape[:2]:
                expected, got = self.image.shape[:2], mask.shape[-2:]
                raise DataError(f"case {self.id!r}: expected the {name} mask at the image's {expected}, got {got}")

    @property
    def has_prompts(self) -> bool:
        """Whether there is a box or a point to draw."""
        return any(prompts is not None and len(prompts) > 0 for prompts in (self.boxes, self.points))
