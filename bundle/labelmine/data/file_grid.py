"""The slices of one image file, and masks of them put together again as the file is laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.data.bombs import open_nifti
from labelmine.data.headers import file_kind, read_header, slice_index
from labelmine.data.items import Item
from labelmine.errors import DataError


@dataclass(frozen=True)
class FileGrid:
    """How a file is laid out.

    Attributes:
        items: Its slices or frames, one item each; one for a plain image.
        shape: Of the NIfTI array; None for other files.
        affine: Of the NIfTI file; None for other files.
        slice_axis: Axis along which a NIfTI volume is cut.
    """

    items: tuple[Item, ...]
    shape: tuple[int, ...] | None
    affine: NDArray[np.float64] | None
    slice_axis: int

    @classmethod
    def of_file(cls, path: str | Path, slice_axis: int = -1) -> FileGrid:
        """Read a file's header.

        Raises:
            DataError: No file, or one that holds no image.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(f"{path.name}: expected one image file (PNG, JPEG, TIFF, NIfTI, DICOM), found none")
        header = read_header(path, slice_axis)
        if header.is_gold:
            raise DataError(f"{path.name}: expected an image, got masks of other images (DICOM SEG or RT structures)")
        item = Item(id=path.name, image=str(path), group=path.name)
        frames = range(header.frames or 0)
        items = (item,) if header.frames is None else tuple(Item({**item, "frame": frame}) for frame in frames)
        if file_kind(path) != "nifti":
            return cls(items, None, None, slice_axis)
        volume = open_nifti(path)
        return cls(items, tuple(volume.shape), np.asarray(volume.affine), slice_axis)

    def join(self, masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Put masks (H, W) of the items together, in their order.

        Returns:
            The NIfTI file's shape; else (W, H), or (W, H, N) of N frames: x before y, as ITK and MONAI index.
        """
        if self.shape is None:
            turned = [mask.T for mask in masks]
            return turned[0] if "frame" not in self.items[0] else np.stack(turned, axis=-1)
        volume = np.zeros(self.shape, np.uint8)
        for item, mask in zip(self.items, masks, strict=True):
            volume[slice_index(self.shape, item.get("frame"), self.slice_axis)] = mask
        return volume
