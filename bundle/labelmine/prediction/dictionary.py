"""Predictions as MONAI's dictionary transforms, for programs that bring a file and take a mask: MONAI Label."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform

from labelmine.data import ClassMap, FileGrid, LoadItem
from labelmine.data.classes import numbered
from labelmine.errors import DataError
from labelmine.transforms import StudentView, to_original

#: Keys of what the way back needs, in the metadata that lies beside an image (MONAI's ``<key>_meta_dict``).
GRID, SIZE = "grid", "original_size"


class ViewsOfFiled(MapTransform):  # type: ignore[misc]  # MONAI is untyped
    """Read the image file under a key, as ``labelmine predict`` does, and leave the student's views of it there.

    The views are (N, 3, S, S) float32 in [0, 1], N the file's slices or frames, 1 for a plain image. Their metadata
    under ``<key>_meta_dict`` hold what ``MasksOfViewsd`` needs, and MONAI Label's ``Restored``: ``spatial_shape`` and
    ``original_affine``.

    Args:
        keys: Of the path.
        image_size: Side of the student's view in pixels.
        window: (centre, width) of images of more than 8 bits; None: the file's own, else its percentiles.
        slice_axis: Axis along which NIfTI volumes are cut.

    Raises:
        DataError: When called with anything but the path of one image file.
    """

    def __init__(
        self,
        keys: Hashable | Sequence[Hashable],
        image_size: int,
        window: tuple[float, float] | None = None,
        slice_axis: int = -1,
    ) -> None:
        """Keep how files are read."""
        super().__init__(keys)
        self.load = LoadItem(ClassMap(), window, slice_axis)
        self.view = StudentView(image_size)
        self.slice_axis = slice_axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the views and their metadata."""
        found = dict(data)
        for key in self.keys:
            if not isinstance(found[key], str):
                raise DataError(f"{key}: expected the path of an image file. Got: {type(found[key]).__name__}")
            grid = FileGrid.of_file(found[key], self.slice_axis)
            views = [self.view(self.load(item)) for item in grid.items]
            size = (int(views[0][SIZE][0]), int(views[0][SIZE][1]))
            shape = grid.join([np.zeros(size, np.uint8) for _ in views]).shape
            found[key] = torch.stack([view["image"] for view in views])
            found[f"{key}_meta_dict"] = {
                "spatial_shape": np.array(shape),
                "original_affine": grid.affine,
                GRID: grid,
                SIZE: size,
            }
        return found


class MasksOfViewsd(MapTransform):  # type: ignore[misc]  # MONAI is untyped
    """Turn the student's probabilities (N, K, S, S) under a key into the mask of the file that was looked at.

    The mask is uint8, 0 for background and 1 to K for the classes; where they overlap, the later class wins, as in the
    files of ``labelmine predict``. It is laid out as ``FileGrid.join`` has it; volumes have a channel axis in front.

    Args:
        keys: Of the probabilities.
        ref_image: Key of the image, by which ``ViewsOfFiled`` left its metadata.
    """

    def __init__(self, keys: Hashable | Sequence[Hashable], ref_image: str = "image") -> None:
        """Keep the keys."""
        super().__init__(keys)
        self.ref_image = ref_image

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data`` with the mask."""
        found = dict(data)
        meta = found[f"{self.ref_image}_meta_dict"]
        for key in self.keys:
            masks = [(to_original(view.cpu(), meta[SIZE]) > 0.5).numpy() for view in found[key]]
            mask = meta[GRID].join([numbered(len(one)).decode(one) for one in masks])
            found[key] = mask[None] if mask.ndim > 2 else mask
        return found
