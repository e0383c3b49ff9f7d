"""Several mask files of one image, each with other objects, read as one mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelmine.data.items import Item
from labelmine.data.stored_masks import StoredMask
from labelmine.errors import DataError

#: With more distinct values a mask is smeared, and values that differ where two overlap are no other classes.
MAX_CLASSES = 20


def mask_files(item: Item, path: str | Path) -> list[Path]:
    """Return the files that a mask's path stands for: all parts of the item's gold, or the file alone.

    Example:
        >>> item = Item(id="a", image="a.png", group="a", label="m.png", label_parts=["m.png", "m_1.png"])
        >>> [str(file) for file in mask_files(item, "m.png")], [str(file) for file in mask_files(item, "other.png")]
        (['m.png', 'm_1.png'], ['other.png'])
    """
    parts = item.get("label_parts", [])
    return [Path(part) for part in parts] if parts and str(path) == parts[0] else [Path(path)]


def unite(masks: Sequence[StoredMask], files: Sequence[Path]) -> StoredMask:
    """Lay masks of the same image over each other.

    Args:
        masks: Masks of equal form; the higher value wins where smeared edges overlap.
        files: Their files, for messages.

    Raises:
        DataError: Masks of other sizes or forms, or of different classes in one place.
    """
    values = masks[0].values
    for mask, file in zip(masks[1:], files[1:], strict=True):
        if mask.values.shape != values.shape or bool(mask.palette) != bool(masks[0].palette):
            raise DataError(
                f"{file.name}: is {_form(mask)}, and {files[0].name}, a mask of the same image, {_form(masks[0])}; "
                "save both in one form"
            )
        overlap = _foreground(values) & _foreground(mask.values)
        if _differ(values[overlap], mask.values[overlap], is_lossy=mask.is_lossy or masks[0].is_lossy):
            raise DataError(f"{file.name}: overlaps {files[0].name} with other values; draw one mask, or one per class")
        values = np.maximum(values, mask.values)
    notes = dict.fromkeys(note for mask in masks for note in mask.assumptions)
    palette = {index: color for mask in masks for index, color in mask.palette.items()}
    return StoredMask(values, any(mask.is_lossy for mask in masks), palette, tuple(notes))


def _foreground(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(values > 0 if values.ndim == 2 else (values > 0).any(axis=-1))


def _differ(ours: NDArray[Any], theirs: NDArray[Any], is_lossy: bool) -> bool:
    smeared = is_lossy or max(len(np.unique(ours)), len(np.unique(theirs))) > MAX_CLASSES
    return not smeared and not np.array_equal(ours, theirs)


def _form(mask: StoredMask) -> str:
    height, width = mask.values.shape[:2]
    color = " in colour" if mask.values.ndim == 3 else " with a palette" if mask.palette else ""
    return f"{width} x {height} pixels{color}"
