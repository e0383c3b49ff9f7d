"""Masks of slices, joined to volumes that lie exactly on their source: results go back as they came."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from labelmine.atomic import write_whole
from labelmine.data.classes import ClassMap
from labelmine.data.headers import slice_index
from labelmine.data.items import Item, volume_id
from labelmine.errors import DataError

#: Header fields of free text, where scanners and converters leave names.
FREE_TEXT_FIELDS = ("descrip", "db_name", "aux_file", "intent_name")


def write_label_volumes(
    items: Iterable[Item],
    read: Callable[[Item], NDArray[Any]],
    classes: ClassMap,
    folder: Path,
    slice_axis: int = -1,
) -> list[Path]:
    """Write ``<volume id>.nii.gz`` with the source's affine and zooms for every NIfTI file among the items.

    Values are 1 for a binary map, the class values of a class map, and 1..K where classes are colours. Slices that are
    not among the items stay 0.

    Args:
        items: Slices (or 2-D NIfTI images) that have a mask.
        read: Reads a slice's mask as the class map decodes it: (H, W), or (H, W, 3) for colours.
        classes: Classes of the masks.
        folder: Where to write; ids with slashes make folders below.
        slice_axis: Axis along which volumes were cut.

    Returns:
        Files written.

    Raises:
        DataError: A mask of another size than its slice.
    """
    highest = max((value for value in classes.values or () if isinstance(value, int)), default=1)
    dtype = np.uint8 if highest <= 255 else np.uint16
    return write_volumes(items, lambda item: _class_numbers(read(item), classes), dtype, folder, slice_axis)


def write_volumes(
    items: Iterable[Item],
    read: Callable[[Item], NDArray[Any]],
    dtype: type[np.generic],
    folder: Path,
    slice_axis: int = -1,
) -> list[Path]:
    """Write ``<volume id>.nii.gz`` of what ``read`` gives (H, W) of each slice; else as ``write_label_volumes``.

    Raises:
        DataError: A picture of another size than its slice.
    """
    volumes: dict[str, list[Item]] = {}
    for item in items:
        volumes.setdefault(item["image"], []).append(item)
    return [_write_volume(Path(image), volumes[image], read, dtype, folder, slice_axis) for image in volumes]


def _write_volume(
    image: Path,
    items: list[Item],
    read: Callable[[Item], NDArray[Any]],
    dtype: type[np.generic],
    folder: Path,
    slice_axis: int,
) -> Path:
    source = nib.load(image)
    volume = np.zeros(source.shape, dtype=dtype)
    for item in items:
        index = slice_index(source.shape, item.get("frame"), slice_axis)
        values = read(item)
        if volume[index].shape != values.shape:
            raise DataError(f"{item['id']}: mask is {values.shape}, its slice of {image.name} {volume[index].shape}")
        volume[index] = values
    path = folder / f"{volume_id(items[0])}.nii.gz"
    write_whole(path, encode_volume(volume, source))
    return path


def encode_volume(values: NDArray[Any], source: Any) -> bytes:
    """Return values as the content of a ``.nii.gz`` file that lies on a NIfTI image, with nothing else of its header.

    Args:
        values: In the image's shape.
        source: The image, as nibabel loads it.
    """
    volume = nib.Nifti1Image(values, source.affine, _clean_header(source.header, values.dtype))
    return gzip.compress(volume.to_bytes(), mtime=0)


def _class_numbers(mask: NDArray[Any], classes: ClassMap) -> NDArray[Any]:
    """Values for a file without colours: binary 255 becomes 1, colours become 1..K."""
    if classes.values is not None and not classes.is_color:
        return mask
    channels = classes.encode(mask)
    return np.asarray((channels * np.arange(1, len(channels) + 1)[:, None, None]).max(axis=0), dtype=np.uint8)


def _clean_header(source: Any, dtype: np.dtype[Any]) -> Any:
    """Geometry of the source without its intensities, its free text and its extensions (which may hold DICOM)."""
    header = nib.Nifti1Header.from_header(source)
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    for name in FREE_TEXT_FIELDS:
        header[name] = b""
    header.extensions.clear()
    return header
