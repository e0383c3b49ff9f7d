"""Masks of a DICOM Segmentation (SEG), found for an image by what its frames refer to, else by where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array

from labelmine.data.dicom_files import open_dicom
from labelmine.data.dicom_geometry import Plane, read_plane
from labelmine.data.dicom_references import References
from labelmine.errors import DataError

FRACTIONAL = "fractional DICOM segmentations were cut at half"


class DicomSegmentation:
    """An open segmentation; frames are decoded when they are asked for.

    Args:
        path: DICOM file of SOP class Segmentation or Label Map Segmentation.

    Raises:
        DataError: A file without segments or frames.
    """

    def __init__(self, path: Path) -> None:
        """Read all but the masks themselves."""
        self._dataset = open_dicom(path, pixels=True)
        segments = self._dataset.get("SegmentSequence") or []
        self._names = {int(one.SegmentNumber): _name(one) for one in segments if int(one.SegmentNumber)}
        self._frames = list(self._dataset.get("PerFrameFunctionalGroupsSequence") or [])
        if not self._names or not self._frames:
            raise DataError("DICOM segmentation without segments or frames; export it again")
        self._type = str(self._dataset.get("SegmentationType") or "BINARY").upper()
        self._sources = [set(_sources(group)) for group in self._frames]
        self._planes = [read_plane(self._dataset, index) for index in range(len(self._frames))]
        self.references = References.of_series(self._dataset.get("ReferencedSeriesSequence") or [])
        self.references.instances |= {uid for sources in self._sources for uid, _ in sources}

    @property
    def names(self) -> list[str]:
        """Segment labels."""
        return list(self._names.values())

    @property
    def assumptions(self) -> list[str]:
        """What is assumed in reading it."""
        return [FRACTIONAL] if self._type == "FRACTIONAL" else []

    def masks(self, image: Dataset, frame: int | None, plane: Plane | None) -> dict[str, NDArray[np.bool_]]:
        """Masks of the segments on one image.

        Args:
            image: Attributes of the image.
            frame: Index of its frame; None for a single-frame image.
            plane: Where the frame lies; None where the image does not say.

        Returns:
            (H, W) bool for each segment that is there; the other segments are empty.

        Raises:
            DataError: A segmentation of another grid.
        """
        size = (int(image.Rows), int(image.Columns))
        masks: dict[str, NDArray[np.bool_]] = {}
        for index in self._frames_on(str(image.get("SOPInstanceUID", "")), frame, plane):
            self._check_grid(index, size, plane)
            for name, mask in self._decode(index):
                masks[name] = masks[name] | mask if name in masks else mask
        return masks

    def _frames_on(self, uid: str, frame: int | None, plane: Plane | None) -> Iterator[int]:
        wanted = {(uid, None), (uid, (frame or 0) + 1)}
        for index, (sources, own) in enumerate(zip(self._sources, self._planes, strict=True)):
            lies_on = plane is not None and own is not None and plane.is_same(own)
            if sources & wanted if any(self._sources) else lies_on:
                yield index

    def _check_grid(self, index: int, size: tuple[int, int], plane: Plane | None) -> None:
        own = self._planes[index]
        rows, columns = int(self._dataset.Rows), int(self._dataset.Columns)
        if (rows, columns) != size:
            raise DataError(
                f"segmentation is {columns} x {rows} pixels, its image {size[1]} x {size[0]}; export it on the grid "
                "of its image"
            )
        if plane is not None and own is not None and not plane.is_same(own):
            raise DataError(
                "segmentation lies elsewhere than the image that it refers to (position, orientation or spacing "
                "differ); export it on the grid of its image"
            )

    def _decode(self, index: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        pixels = pixel_array(self._dataset, index=index)
        if self._type == "LABELMAP":
            yield from ((name, pixels == number) for number, name in self._names.items())
            return
        groups = [self._frames[index], *(self._dataset.get("SharedFunctionalGroupsSequence") or [])[:1]]
        number = next(int(one.ReferencedSegmentNumber) for one in _inner(groups, "SegmentIdentificationSequence"))
        if self._type == "FRACTIONAL":
            yield self._names[number], pixels >= int(self._dataset.MaximumFractionalValue) / 2
        else:
            yield self._names[number], pixels > 0


def _name(segment: Dataset) -> str:
    return str(segment.get("SegmentLabel") or "").strip() or f"segment_{segment.SegmentNumber}"


def _inner(groups: Iterable[Dataset], name: str) -> Iterator[Dataset]:
    for group in groups:
        yield from group.get(name) or []


def _sources(group: Dataset) -> Iterator[tuple[str, int | None]]:
    """Images that a frame was drawn on, each with a frame number, or None for all its frames."""
    for derivation in group.get("DerivationImageSequence") or []:
        for source in derivation.get("SourceImageSequence") or []:
            numbers = source.get("ReferencedFrameNumber")
            listed = [None] if numbers is None else [numbers] if isinstance(numbers, int | str) else list(numbers)
            for number in listed:
                yield str(source.ReferencedSOPInstanceUID), None if number is None else int(number)
