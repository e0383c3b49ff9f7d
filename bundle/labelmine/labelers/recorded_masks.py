"""A folder of masks named like images, and a table of what they are said to be worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from labelmine.data import ClassMap, Item, MaskFolder, read_label
from labelmine.data.masks_elsewhere import classes_elsewhere
from labelmine.errors import DataError

SCORE_COLUMNS = ("id", "score")


class RecordedMasks:
    """Masks by image id, read as the images' classes.

    Args:
        folder: See ``MaskFolder``.
        classes: How mask values become classes.
        items: Images that may be asked for; they tell which slice of a volume is meant.
        slice_axis: Axis along which NIfTI volumes are cut.

    Raises:
        DataError: As ``MaskFolder`` does.
    """

    def __init__(self, folder: Path, classes: ClassMap, items: Sequence[Item] = (), slice_axis: int = -1) -> None:
        """List the files, and look at some to tell their levels."""
        self.files = MaskFolder(folder, items)
        self.folder = self.files.folder
        self.slice_axis = slice_axis
        self._items = {item["id"]: item for item in items}
        names = list(self._items) or self.files.names
        found = [(self._item(name), path) for name in names if (path := self.files.find(name)) is not None]
        self.classes = classes_elsewhere(classes, found, slice_axis)

    def __contains__(self, image_id: str) -> bool:
        """Whether there is a mask of an image."""
        return image_id in self.files

    def read(self, image_id: str) -> NDArray[np.uint8] | None:
        """Read the mask of an image: (K, H, W) uint8 of 0 and 1, or None where there is none.

        Raises:
            DataError: A mask that cannot be read.
        """
        path = self.files.find(image_id)
        if path is None:
            return None
        return read_label(self._item(image_id), path, self.classes, self.slice_axis)

    def _item(self, image_id: str) -> Item:
        return self._items.get(image_id) or Item(id=image_id, image="", group=image_id)


def read_scores(path: str | Path) -> dict[str, float]:
    """Read the score in [0, 1] of each mask from a CSV with the columns ``id`` and ``score``.

    Raises:
        DataError: A missing file or column, or scores that are no numbers in [0, 1].
    """
    path = Path(path).expanduser()
    try:
        table = pd.read_csv(path, dtype={"id": str})
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(f"scores: {path.name} cannot be read as a CSV table ({error})") from error
    if not set(SCORE_COLUMNS) <= set(table.columns):
        raise DataError(f"scores: {path.name}: expected the columns {SCORE_COLUMNS}, got {tuple(table.columns)}")
    values = pd.to_numeric(table["score"], errors="coerce")
    for image_id, text in zip(table["id"][~values.between(0, 1)], table["score"][~values.between(0, 1)], strict=True):
        raise DataError(f"scores: {path.name}: {image_id}: expected a score in [0, 1] (expected Dice), got {text!r}")
    return dict(zip(table["id"], values.astype(float), strict=True))


def at_size(mask: NDArray[np.uint8], size: tuple[int, int], name: str) -> NDArray[np.uint8]:
    """Take a mask (K, h, w) to the size (H, W) of its image, by nearest neighbour.

    Raises:
        DataError: A mask that is no scaled copy of its image's shape, and so hardly belongs to it.

    Example:
        >>> at_size(np.array([[[0, 1]]], dtype=np.uint8), (2, 4), "a.png").tolist()
        [[[0, 0, 1, 1], [0, 0, 1, 1]]]
    """
    rows, columns = mask.shape[1:]
    if (rows, columns) == size:
        return mask
    # The longest side says the scale; the other may be off by a pixel of rounding.
    scale = max(rows, columns) / max(size)
    if abs(rows - size[0] * scale) > 1 or abs(columns - size[1] * scale) > 1:
        raise DataError(
            f"{name}: the recorded mask is {columns} x {rows} pixels, its image {size[1]} x {size[0]}, which is no "
            "scaled copy of it; export the mask at the image's size, or remove it"
        )
    return F.interpolate(torch.from_numpy(mask)[None].float(), size, mode="nearest-exact")[0].numpy().astype(np.uint8)
