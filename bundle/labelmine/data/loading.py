"""From an item to tensors: the first transform of every pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from monai.transforms import Transform
from torch import Tensor

from labelmine.data.classes import ClassMap
from labelmine.data.dicom_gold import is_dicom_gold, read_dicom_label
from labelmine.data.intensities import Window
from labelmine.data.items import Item
from labelmine.data.mask_position import check_size
from labelmine.data.reading import read_image
from labelmine.data.stored_masks import StoredMask, read_stored_mask
from labelmine.data.united_masks import mask_files, unite
from labelmine.errors import DataError


class LoadedItem(TypedDict):
    """One image as tensors at its original size.

    Attributes:
        id: Id of the item.
        image: (3, H, W) float32 in [0, 1].
        label: (K, H, W) float32 of 0 and 1; zeros where there is no gold.
        is_labeled: Whether ``label`` is gold.
    """

    id: str
    image: Tensor
    label: Tensor
    is_labeled: bool


def read_label(item: Item, path: str | Path, classes: ClassMap, slice_axis: int = -1) -> np.ndarray:
    """Read a mask file that belongs to an item: its gold, a dropped gold, or a pseudo label.

    Args:
        item: Item that says which ``frame`` of a volume is meant.
        path: Mask file.
        classes: How mask values become classes.
        slice_axis: Axis along which NIfTI volumes are cut.

    Returns:
        (K, H, W) uint8 of 0 and 1.

    Raises:
        DataError: A mask that cannot be read, or of a form that does not fit the classes.
    """
    if is_dicom_gold(path):  # whose classes may overlap
        return read_dicom_label(item, path, classes)
    return encode_mask(read_mask_of(item, path, classes, slice_axis), path, classes)


def read_mask_of(item: Item, path: str | Path, classes: ClassMap | None, slice_axis: int = -1) -> StoredMask:
    """Read a mask that belongs to an item, not yet split into classes; arguments as for ``read_label``.

    The path of the item's gold stands for all of its ``label_parts``, which are united.

    Raises:
        DataError: A mask that cannot be read.
    """
    if classes is not None and is_dicom_gold(path):
        return StoredMask(classes.decode(read_dicom_label(item, path, classes) > 0))
    is_color = classes is not None and classes.is_color
    files = mask_files(item, path)
    masks = [read_stored_mask(file, item.get("frame"), slice_axis, is_color, item["image"]) for file in files]
    return masks[0] if len(masks) == 1 else unite(masks, files)


def encode_mask(mask: StoredMask, path: str | Path, classes: ClassMap) -> np.ndarray:
    """Split a stored mask into (K, H, W) classes; an error names the file."""
    try:
        return classes.encode_lossy(mask.values) if mask.is_lossy else classes.encode(mask.values)
    except DataError as error:
        raise DataError(f"{Path(path).name}: {error}") from error


class LoadItem(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Load image and gold mask of an item.

    Args:
        classes: Classes of the image set.
        window: (centre, width) in the file's units; ``None``: the file's own, else percentiles.
        slice_axis: Axis along which NIfTI volumes are cut.

    Example:
        >>> load = LoadItem(ClassMap())
        >>> load({"id": "a", "image": "images/a.png", "group": "a"})  # doctest: +SKIP
        {'id': 'a', 'image': tensor(...), 'label': tensor(...), 'is_labeled': False}
    """

    def __init__(self, classes: ClassMap, window: Window | None = None, slice_axis: int = -1) -> None:
        """Keep what does not change from item to item."""
        super().__init__()
        self.classes = classes
        self.window = window
        self.slice_axis = slice_axis

    def __call__(self, item: Item) -> LoadedItem:
        """Load one item.

        Raises:
            DataError: Files that cannot be read, or a mask of another size than its image.
        """
        image = read_image(item, self.window, self.slice_axis)
        label = np.zeros((len(self.classes), *image.shape[:2]), dtype=np.uint8)
        if "label" in item:
            label = read_label(item, item["label"], self.classes, self.slice_axis)
            check_size(label.shape[1:], image.shape[:2], item["label"])
        return LoadedItem(
            id=item["id"],
            image=torch.from_numpy(image).permute(2, 0, 1).contiguous(),
            label=torch.from_numpy(label).float(),
            is_labeled="label" in item,
        )
