"""DICOM images of a set, as they can share one segmentation: the slices or frames of a series that form one stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from pydicom.dataset import Dataset

from labelmine.data.dicom_display import numbers
from labelmine.data.dicom_files import open_dicom
from labelmine.data.dicom_geometry import Plane, read_plane
from labelmine.data.headers import file_kind
from labelmine.data.items import Item
from labelmine.errors import DataError

_IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_SLIDE = ("ImageOrientationSlide", "TotalPixelMatrixOriginSequence")
#: Positions along the normal that differ by less, in mm, are one position.
_SAME_DEPTH = 1e-3


@dataclass(frozen=True)
class SourceFrame:
    """A DICOM image, or one frame of it.

    Attributes:
        item: Item of the image set.
        header: Attributes of its file, without pixels.
        number: Number of the frame, from 1; None where the file holds a single one.
        plane: Where it lies in the patient; None where the file does not say, or names no frame of reference.
    """

    item: Item
    header: Dataset
    number: int | None
    plane: Plane | None

    @property
    def instance(self) -> str:
        """SOP Instance UID of its file."""
        return str(self.header.SOPInstanceUID)


@dataclass(frozen=True)
class Stack:
    """Frames that one segmentation can hold: of one size, orientation and spacing, and each at a place of its own.

    Attributes:
        series: Series Instance UID.
        number: Number among the stacks of its series, from 1.
        frames: Its frames, in the order of the image set.
        is_only: Whether the series has no other stack.
    """

    series: str
    number: int
    frames: Sequence[SourceFrame]
    is_only: bool = True

    @property
    def is_placed(self) -> bool:
        """Whether its frames have a place in the patient."""
        return self.frames[0].plane is not None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.frames[0].header.Rows), int(self.frames[0].header.Columns)

    @property
    def is_of_clip(self) -> bool:
        """Whether its frames are those of one multi-frame file."""
        return self.frames[0].number is not None

    @property
    def planes(self) -> list[Plane]:
        """Where its frames lie; empty where they have no place."""
        return [frame.plane for frame in self.frames if frame.plane is not None]

    @property
    def thickness(self) -> float | None:
        """Slice Thickness in mm, else the smallest distance of slices along their normal; None: neither is known."""
        header = self.frames[0].header
        shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
        measures = shared[0].get("PixelMeasuresSequence") or [Dataset()]
        given = numbers(measures[0], "SliceThickness") or numbers(header, "SliceThickness")
        if given and given[0] > 0:
            return given[0]
        depths = sorted(float(plane.position @ self.planes[0].normal) for plane in self.planes)
        return min((after - before for before, after in pairwise(depths)), default=None)

    @property
    def label(self) -> str:
        """The image set's own name for it, for messages: no identifier of the patient."""
        rest = f" and {len(self.frames) - 1} more" if len(self.frames) > 1 else ""
        return f"{self.frames[0].item['id']}{rest}"


def dicom_series(items: Iterable[Item]) -> dict[str, list[Item]]:
    """DICOM items by Series Instance UID, "" for those that name none, in order of their first item."""
    series: dict[str, list[Item]] = {}
    known: dict[str, str | None] = {}
    for item in items:
        path = item["image"]
        if path not in known:
            known[path] = _series_of(Path(path))
        if (uid := known[path]) is not None:
            series.setdefault(uid, []).append(item)
    return series


def stacks_of(items: Sequence[Item]) -> list[Stack]:
    """Sort the items of one series into stacks; only headers are read.

    Slices of another orientation, spacing, size or frame of reference make a stack of their own; so do slices at a
    place that is taken (phases, echoes), a multi-frame file, and an image without a place in the patient.

    Args:
        items: All items of the series.

    Raises:
        DataError: A file that a segmentation cannot refer to, or a whole-slide image.
    """
    groups: list[_Group] = []
    for frame in _frames(items):
        fitting = next((group for group in groups if group.takes(frame)), None)
        if fitting is None:
            groups.append(fitting := _Group())
        fitting.add(frame)
    series = str(groups[0].frames[0].header.SeriesInstanceUID)
    return [Stack(series, number, group.frames, len(groups) == 1) for number, group in enumerate(groups, start=1)]


def _series_of(path: Path) -> str | None:
    if file_kind(path) != "dicom":
        return None
    return str(open_dicom(path, ["SeriesInstanceUID"]).get("SeriesInstanceUID") or "")


def _frames(items: Sequence[Item]) -> Iterator[SourceFrame]:
    path, header = "", Dataset()
    for item in items:
        if item["image"] != path:
            path = item["image"]
            header = _checked(open_dicom(Path(path)))
        index = item.get("frame")
        plane = read_plane(header, index or 0) if _says_where(header, index) else None
        yield SourceFrame(item, header, None if index is None else index + 1, plane)


def _checked(header: Dataset) -> Dataset:
    missing = [name for name in _IDENTITY if not header.get(name)]
    if missing:
        raise DataError(
            f"DICOM file without {', '.join(missing)}, by which a segmentation refers to its image; "
            "export it again with them"
        )
    if any(name in header for name in _SLIDE):
        raise DataError("tile of a whole-slide image, whose segmentations are tiled, too; take its PNG mask")
    return header


def _says_where(header: Dataset, frame: int | None) -> bool:
    """A multi-frame file without functional groups has one position for all frames, which is none for each."""
    return bool(header.get("FrameOfReferenceUID")) and (frame is None or "PerFrameFunctionalGroupsSequence" in header)


@dataclass
class _Group:
    """A stack that grows; ``taken`` are its depths in steps of ``_SAME_DEPTH``."""

    frames: list[SourceFrame] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)

    def takes(self, frame: SourceFrame) -> bool:
        first = self.frames[0]
        is_multi_frame = frame.number is not None or first.number is not None
        if is_multi_frame and frame.instance != first.instance:
            return False
        if frame.plane is None or first.plane is None:
            return is_multi_frame and frame.plane is None and first.plane is None
        same = ("Rows", "Columns", "FrameOfReferenceUID", "StudyInstanceUID")
        if any(frame.header.get(name) != first.header.get(name) for name in same):
            return False
        step = self._step(frame.plane)
        return frame.plane.is_parallel(first.plane) and not self.taken & {step - 1, step, step + 1}

    def add(self, frame: SourceFrame) -> None:
        self.frames.append(frame)
        if frame.plane is not None:
            self.taken.add(self._step(frame.plane))

    def _step(self, plane: Plane) -> int:
        first = self.frames[0].plane or plane
        return round(float(plane.position @ first.normal) / _SAME_DEPTH)
