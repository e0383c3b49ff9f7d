"""Where the pixels of a DICOM frame lie in the patient, and the order of a series that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from labelmine.data.dicom_display import numbers

PLANE_TAGS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
#: Attribute of a plane, the functional group that holds it in enhanced objects, and how many numbers it has.
_PARTS = (
    ("ImagePositionPatient", "PlanePositionSequence", 3),
    ("ImageOrientationPatient", "PlaneOrientationSequence", 6),
    ("PixelSpacing", "PixelMeasuresSequence", 2),
)
#: Planes are the same where their first pixels, in pixels, and their directions differ by less.
_TOLERANCE = 0.1
_ANGLE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Plane:
    """Plane of a frame, PS3.3 C.7.6.2.1.1; lengths in mm.

    Attributes:
        position: (3,) centre of the first pixel.
        along_row: (3,) unit vector of growing column number.
        along_column: (3,) unit vector of growing row number.
        spacing: Distance of rows, and of columns.
    """

    position: NDArray[np.float64]
    along_row: NDArray[np.float64]
    along_column: NDArray[np.float64]
    spacing: tuple[float, float]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector along which slices follow each other."""
        return np.cross(self.along_row, self.along_column)

    @property
    def depth(self) -> float:
        """Position along the normal."""
        return float(self.position @ self.normal)

    def pixels_of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 3): row, column, and distance from the plane in mm, of (N, 3) points of the patient."""
        offsets = points - self.position
        rows, columns = offsets @ self.along_column / self.spacing[0], offsets @ self.along_row / self.spacing[1]
        return np.stack([rows, columns, offsets @ self.normal], axis=1)

    def points_at(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, 3) points of the patient at (N, 2) rows and columns."""
        rows, columns = pixels[:, :1] * self.spacing[0], pixels[:, 1:] * self.spacing[1]
        return self.position + rows * self.along_column + columns * self.along_row

    def is_same(self, other: Plane) -> bool:
        """Whether the pixels of both planes lie on each other."""
        moved = np.linalg.norm(self.position - other.position)
        return self.is_parallel(other) and bool(moved < _TOLERANCE * min(self.spacing))

    def is_parallel(self, other: Plane) -> bool:
        """Whether both planes run in the same directions, with pixels of one size."""
        directions = np.concatenate([self.along_row - other.along_row, self.along_column - other.along_column])
        sizes = np.divide(self.spacing, other.spacing)
        return bool(np.abs(directions).max() < _ANGLE_TOLERANCE and np.abs(sizes - 1).max() < _ANGLE_TOLERANCE)


def read_plane(dataset: Dataset, frame: int = 0) -> Plane | None:
    """Plane of a frame; None where the file does not say."""
    parts = [_part(dataset, frame, *names) for names in _PARTS]
    if not all(parts):
        return None
    position, directions, spacing = (np.asarray(part) for part in parts)
    if not np.isfinite([*position, *directions, *spacing]).all() or (spacing <= 0).any():
        return None
    return Plane(position, directions[:3], directions[3:], (float(spacing[0]), float(spacing[1])))


def order_by_position(series: Sequence[str], depths: Sequence[float | None]) -> list[int]:
    """Order of files in which the slices of a series follow each other in the patient, not in their names.

    Args:
        series: Series Instance UID of each file, "" where there is none.
        depths: Position of each file along its normal; where one of a series has none, its files stay as they are.

    Returns:
        Indices of the files; each series takes the places that its files have.
    """
    places: dict[str, list[int]] = {}
    for index, name in enumerate(series):
        places.setdefault(name, []).append(index)
    order = list(range(len(series)))
    for name, indices in places.items():
        known = [depth for index in indices if (depth := depths[index]) is not None]
        if name and len(known) == len(indices):
            ranked = sorted(zip(known, indices, strict=True))
            for place, (_, index) in zip(indices, ranked, strict=True):
                order[place] = index
    return order


def _part(dataset: Dataset, frame: int, name: str, group_name: str, count: int) -> list[float]:
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    groups: list[Any] = [*per_frame[frame : frame + 1], *shared[:1]]
    for source in [*(inner for group in groups for inner in group.get(group_name) or []), dataset]:
        values = numbers(source, name)
        if len(values) == count:
            return values
    return []
