"""A student's masks at original size, compared with gold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelmine.data import ImageSet, Item, pixel_spacing, read_label
from labelmine.evaluation import evaluate_masks
from labelmine.prediction.predictor import Predictor


def evaluate(predictor: Predictor, items: Sequence[Item], images: ImageSet, desc: str = "evaluate") -> pd.DataFrame:
    """Compare a predictor with the gold (or the dropped gold) of items; one row per image, see ``evaluate_masks``."""
    return compare(predictor.masks(items, images, desc=desc), images)


def compare(masks: Iterable[tuple[Item, NDArray[np.bool_]]], images: ImageSet) -> pd.DataFrame:
    """Compare masks (K, H, W) at original size with the gold, or the dropped gold, of their items.

    Distances in millimetres are given for the items whose image file says how large a pixel is.
    """
    spacings: dict[str, tuple[float, float]] = {}

    def pairs() -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
        for item, mask in masks:
            # Read beside its pair, so that only headers of images that are compared are opened.
            if (spacing := pixel_spacing(item, images.slice_axis)) is not None:
                spacings[item["id"]] = spacing
            yield item["id"], mask, gold_of(item, images)

    groups = {item["id"]: item["group"] for item in images.items}
    return evaluate_masks(pairs(), class_names=list(images.classes.names), groups=groups, spacings=spacings)


def gold_of(item: Item, images: ImageSet) -> NDArray[np.bool_]:
    """Return the gold mask (K, H, W) of an item; a dropped label counts, as it is only compared with."""
    path = item.get("label") or item["dropped_label"]
    return read_label(item, path, images.classes, images.slice_axis) > 0
