"""Image, label and weight of a case as files: a picture as PNG, or all labelled slices of a NIfTI file as one volume.

Values of labels are 0 for background and 1..K; where classes overlap, the later one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmine.atomic import write_whole
from labelmine.data.bombs import open_nifti
from labelmine.data.headers import NIFTI_SUFFIXES, slice_index
from labelmine.data.items import volume_id
from labelmine.data.label_volumes import encode_volume
from labelmine.data.png import encode_png
from labelmine.exchange.corrections import flat_name
from labelmine.exchange.label_set import LabelledImage, LabelSet, Split

PNG, NIFTI = ".png", ".nii.gz"


@dataclass(frozen=True)
class Case:
    """What one file holds.

    Attributes:
        name: Name of its files, without suffix.
        images: One picture, or the labelled slices of a volume, all in one split.
        suffix: ``.png`` or ``.nii.gz``.
    """

    name: str
    images: Sequence[LabelledImage]
    suffix: str = PNG

    @property
    def split(self) -> Split:
        """Where it is used."""
        return self.images[0].split


def cases_of(labels: LabelSet, volumes: bool) -> list[Case]:
    """Group the labelled images of a set into cases.

    Args:
        labels: The set.
        volumes: Whether slices of a NIfTI file become one volume; else each is a picture of its own.

    Raises:
        DataError: Two images, or slices of two volumes, that would have one name.
    """
    names = labels.names
    found: dict[tuple[str, str], list[LabelledImage]] = {}
    for image in labels.images:
        is_slice = volumes and is_nifti(image)
        name = flat_name(volume_id(image.item)) if is_slice else names[image.id]
        found.setdefault((name, NIFTI if is_slice else PNG), []).append(image)
    return [Case(name, images, suffix) for (name, suffix), images in found.items()]


def is_nifti(image: LabelledImage) -> bool:
    """Whether an image is a slice of a NIfTI file, or all of one."""
    return image.item["image"].lower().endswith(NIFTI_SUFFIXES)


def write_image(case: Case, labels: LabelSet, stem: Path, colour: bool | None = None) -> Path:
    """Write the image of a case, or link to it, as the set says.

    Args:
        case: The case.
        labels: Its set.
        stem: Path of the file, without suffix.
        colour: Whether the program that reads a picture counts on three channels, or on one, and on PNG; None: any will
            do, and a link keeps its own suffix.

    Returns:
        The file.
    """
    source = Path(case.images[0].item["image"]).absolute()
    path = stem.with_name(stem.name + case.suffix)
    if case.suffix == NIFTI:
        if labels.image_files == "link" and source.name.lower().endswith(NIFTI):
            return _linked(path, source)
        volume = open_nifti(source)
        write_whole(path, encode_volume(_plain_values(volume), volume))
        return path
    pixels = labels.read_pixels(case.images[0])
    if colour and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    if labels.image_files == "link" and _holds(source, pixels, exactly=colour is not None):
        return _linked(stem.with_name(stem.name + source.suffix.lower()), source)
    write_whole(path, encode_png(pixels))
    return path


@dataclass
class WrittenLabel:
    """A label in a file.

    Attributes:
        path: The file.
        abstaining: Pixels that abstain, slices of a volume without a label among them.
        overlapping: Pixels of several classes, of which the last one was written.
    """

    path: Path
    abstaining: int = 0
    overlapping: int = 0


def write_label(case: Case, labels: LabelSet, stem: Path, ignore: int | None = None) -> WrittenLabel:
    """Write the label of a case.

    Args:
        case: The case.
        labels: Its set.
        stem: Path of the file, without suffix.
        ignore: Value of pixels that abstain, and of slices without a label; None: pixels as drawn, slices 0.
    """
    written = WrittenLabel(stem.with_name(stem.name + case.suffix))

    def values(image: LabelledImage) -> NDArray[np.uint8]:
        mask, weight = labels.read_label(image)
        numbers = np.arange(1, len(mask) + 1, dtype=np.uint8)[:, None, None]
        written.abstaining += int((weight == 0).sum())
        written.overlapping += int((mask.sum(axis=0) > 1).sum())
        drawn = (mask * numbers).max(axis=0)
        return drawn if ignore is None else np.where(weight > 0, drawn, ignore).astype(np.uint8)

    content, left = _encoded(case, labels, values, ignore or 0)
    written.abstaining += left
    write_whole(written.path, content)
    return written


def write_weight(case: Case, labels: LabelSet, stem: Path) -> Path | None:
    """Write how much each pixel of a label counts, 0..255 for 0..1; None where all count fully."""
    path = stem.with_name(stem.name + case.suffix)
    lowest = 1.0

    def values(image: LabelledImage) -> NDArray[np.uint8]:
        nonlocal lowest
        weight = labels.read_label(image)[1]
        lowest = min(lowest, float(weight.min(initial=1)))
        return np.asarray((weight * 255).round(), dtype=np.uint8)

    content, left = _encoded(case, labels, values, 0)
    if lowest == 1 and not left:
        return None
    write_whole(path, content)
    return path


def _encoded(
    case: Case, labels: LabelSet, values: Callable[[LabelledImage], NDArray[np.uint8]], elsewhere: int
) -> tuple[bytes, int]:
    """A picture, or a volume with ``elsewhere`` in slices that are not in the case, and how many voxels these have."""
    if case.suffix == PNG:
        return encode_png(values(case.images[0])), 0
    source = open_nifti(Path(case.images[0].item["image"]))
    volume = np.full(source.shape, elsewhere, dtype=np.uint8)
    covered = 0
    for image in case.images:
        index = slice_index(source.shape, image.item.get("frame"), labels.slice_axis)
        volume[index] = values(image)
        covered += volume[index].size
    return encode_volume(volume, source), volume.size - covered


def _plain_values(volume: Any) -> NDArray[Any]:
    """Values of a NIfTI image in a type that every reader has."""
    values = np.asanyarray(volume.dataobj)
    narrower: dict[str, Any] = {"float64": np.float32, "int64": np.int32, "uint64": np.uint32}
    return np.asarray(values, dtype=narrower.get(values.dtype.name, values.dtype))


def _linked(path: Path, source: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(source)
    return path


def _holds(source: Path, pixels: NDArray[np.uint8], exactly: bool) -> bool:
    """Whether a file, read by any program, gives these pixels; ``exactly``: as PNG, and as many channels."""
    try:
        with Image.open(source) as picture:
            if picture.mode not in ("L", "RGB") or (exactly and picture.format != "PNG"):
                return False
            stored = np.asarray(picture)
    except OSError:  # DICOM, NIfTI, and what Pillow cannot read
        return False
    if not exactly and stored.ndim == 3 and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    return np.array_equal(stored, pixels)
