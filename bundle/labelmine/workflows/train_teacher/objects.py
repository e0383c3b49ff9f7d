"""Views of an image set in which each object keeps the value that its mask gives it."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import Compose, Transform

from labelmine.data import ClassMap, Item
from labelmine.data.loading import LoadedItem, read_mask_of
from labelmine.data.mask_position import check_size
from labelmine.data.reading import read_image
from labelmine.transforms import StudentView


class LoadObjects(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Load an image and its mask as it is: what a value means, class or instance, does not matter to a teacher.

    Masks in colour, or smeared by compression, are taken as one kind of object.
    """

    def __call__(self, item: Item) -> LoadedItem:
        """Load one item; its ``label`` is (1, H, W) float32 of mask values.

        Raises:
            DataError: Files that cannot be read, or a mask of another size than its image.
        """
        image = read_image(item)
        values = np.zeros(image.shape[:2], np.uint8)
        if "label" in item:
            mask = read_mask_of(item, item["label"], None)
            values = ClassMap().encode_lossy(mask.values)[0] if mask.is_lossy else mask.values
            values = values if values.ndim == 2 else ClassMap().encode(values)[0]
            check_size(values.shape, image.shape[:2], item["label"])
        return LoadedItem(
            id=item["id"],
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            label=torch.from_numpy(values.astype(np.float32))[None],
            is_labeled="label" in item,
        )


def views_of_objects(image_size: int, teacher_size: int | None = None) -> Compose:
    """Return what loads the view of an item, with the values of its mask; see ``StudentView`` for the sizes."""
    return Compose([LoadObjects(), StudentView(image_size, teacher_size)])
