"""The files of a label below a store's folder, see ``labelmine.data.label_store``: where they lie, written and read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmine.atomic import write_whole
from labelmine.data.headers import NIFTI_SUFFIXES
from labelmine.data.png import encode_png
from labelmine.errors import DataError

#: Key of a record whose mask another file holds, relative to the store.
HELD_BY = "held_by"


class LabelFiles:
    """Where files lie.

    Args:
        folder: The store's.
        class_names: Of its classes.
    """

    def __init__(self, folder: Path, class_names: Sequence[str]) -> None:
        """Keep both."""
        self.folder = folder
        names = [re.sub(r"[^\w.-]", "_", name) for name in class_names]
        self._classes = [f"{number}_{name}" for number, name in enumerate(names, start=1)]

    def mask(self, image_id: str, image: str) -> Path:
        """Mask of an image with all classes in one picture; ``image`` is its file's name."""
        return self._path("slices" if image.lower().endswith(NIFTI_SUFFIXES) else "masks", image_id)

    def by_class(self, image_id: str) -> list[Path]:
        """Masks of each class, of an image in which classes overlap."""
        return [self._path(f"by_class/{name}", image_id) for name in self._classes]

    def probabilities(self, image_id: str) -> list[Path]:
        """Probabilities of each class."""
        return [self._path(f"probabilities/{name}", image_id) for name in self._classes]

    def weight(self, image_id: str) -> Path:
        """Weights of pixels."""
        return self._path("weights", image_id)

    def of(self, record: Mapping[str, Any]) -> list[Path]:
        """Return the files without which a label is not there."""
        if HELD_BY in record:
            return [self.folder / record[HELD_BY]]
        name = record["id"]
        paths = [self.mask(name, record["image"]), *(self.by_class(name) if record["overlap"] else [])]
        return [*paths, self.weight(name)] if record["weighted"] else paths

    def _path(self, part: str, image_id: str) -> Path:
        return self.folder / part / f"{image_id}.png"


def write_picture(path: Path, pixels: NDArray[Any]) -> None:
    """Write whole numbers (H, W) as PNG; one that a power cut takes is known as lost, and made again."""
    write_whole(path, encode_png(pixels), durable=False)


def write_share(path: Path, values: NDArray[np.floating[Any]]) -> None:
    """Write values (H, W) in [0, 1], in steps of 1/255."""
    write_picture(path, (np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def read_picture(path: Path) -> NDArray[Any]:
    """Read what ``write_picture`` wrote.

    Raises:
        DataError: The file was removed or damaged.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture)
    except OSError as error:
        raise DataError(
            f"{path.name}: label cannot be read ({type(error).__name__}). Delete the file; its image is labelled again"
        ) from error


def read_share(path: Path) -> NDArray[np.float32]:
    """Read what ``write_share`` wrote, float32 in [0, 1].

    Raises:
        DataError: The file was removed or damaged.
    """
    return (read_picture(path) / np.float32(255)).astype(np.float32)
