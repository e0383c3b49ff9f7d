"""Maps beside masks: a number in [0, 1] for each pixel, such as how probable it is that the mask is wrong there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmine.atomic import write_whole
from labelmine.data.headers import NIFTI_SUFFIXES
from labelmine.data.items import Item
from labelmine.data.label_volumes import write_volumes
from labelmine.data.png import encode_png


def write_maps(folder: Path, item: Item, maps: Mapping[str, NDArray[np.floating[Any]]]) -> None:
    """Write each map (H, W) in [0, 1] as ``<name>/<id>.png``, in steps of 1/255."""
    for name, values in maps.items():
        pixels = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
        write_whole(folder / name / f"{item['id']}.png", encode_png(pixels))


def read_map(folder: Path, item: Item, name: str) -> NDArray[np.float32]:
    """Read a map (H, W) in [0, 1]."""
    with Image.open(folder / name / f"{item['id']}.png") as picture:
        return np.asarray(picture, dtype=np.float32) / np.float32(255)


def join_maps(folder: Path, names: Iterable[str], items: Iterable[Item], slice_axis: int = -1) -> None:
    """Join the maps of NIfTI slices to ``<name>/<volume>.nii.gz``, float32, with the geometry of their source."""
    slices = [item for item in items if item["image"].lower().endswith(NIFTI_SUFFIXES)]
    for name in names:
        write_volumes(slices, partial(read_map, folder, name=name), np.float32, folder / name, slice_axis)
