"""Masks of an RT Structure Set: closed contours in the patient, filled on the image that they were drawn on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from skimage.draw import polygon

from labelmine.data.dicom_files import open_dicom
from labelmine.data.dicom_geometry import Plane
from labelmine.data.dicom_references import References
from labelmine.errors import DataError

HOLES = "RT Structure Sets: contours inside others of the same structure were taken as holes"
NO_AREAS = "RT Structure Sets: points and open contours, which enclose no area, were passed over"
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
#: Contours that name no image lie on one where all their points are nearer to it, in mm.
_NEAR = 0.1
#: Decimals of pixel coordinates: contours through pixel centres are rounded by their decimal strings.
_DECIMALS = 3


@dataclass(frozen=True)
class _Contour:
    """Points (N, 3) in mm, and the images (and frame numbers, None: any) that it was drawn on."""

    name: str
    points: NDArray[np.float64]
    sources: frozenset[tuple[str, int | None]]


class StructureSet:
    """An open RT Structure Set.

    Args:
        path: DICOM file of SOP class RT Structure Set.

    Raises:
        DataError: A file without closed contours.
    """

    def __init__(self, path: Path) -> None:
        """Read all contours."""
        dataset = open_dicom(path)
        rois = dataset.get("StructureSetROISequence") or []
        self._names = {
            int(roi.ROINumber): str(roi.get("ROIName") or "").strip() or f"roi_{roi.ROINumber}" for roi in rois
        }
        self._contours: list[_Contour] = []
        self._has_open = False
        for roi in dataset.get("ROIContourSequence") or []:
            for contour in roi.get("ContourSequence") or []:
                self._add(self._names.get(number := int(roi.ReferencedROINumber)) or f"roi_{number}", contour)
        if not self._contours:
            raise DataError("RT Structure Set without closed contours; export it again with them")
        self.references = References.of_series(_referenced_series(dataset))
        self.references.instances |= {uid for contour in self._contours for uid, _ in contour.sources}

    @property
    def names(self) -> list[str]:
        """Names of the structures that have contours."""
        return list(dict.fromkeys(contour.name for contour in self._contours))

    @property
    def assumptions(self) -> list[str]:
        """What is assumed in reading it."""
        return [HOLES, *([NO_AREAS] if self._has_open else [])]

    def masks(self, image: Dataset, frame: int | None, plane: Plane | None) -> dict[str, NDArray[np.bool_]]:
        """Masks of the structures on one image; arguments, result and errors as of ``DicomSegmentation.masks``."""
        if plane is None:
            raise DataError(
                "RT Structure Set of an image without Image Position, Image Orientation or Pixel Spacing (Patient), so "
                "that its contours cannot be placed; export the image with them"
            )
        wanted = {(str(image.get("SOPInstanceUID", "")), number) for number in (None, (frame or 0) + 1)}
        drawn: dict[str, list[NDArray[np.float64]]] = {}
        for contour in self._contours:
            pixels = plane.pixels_of(contour.points)
            if contour.sources & wanted if contour.sources else np.abs(pixels[:, 2]).max() <= _NEAR:
                drawn.setdefault(contour.name, []).append(pixels[:, :2].round(_DECIMALS))
        size = (int(image.Rows), int(image.Columns))
        return {name: _fill(polygons, size) for name, polygons in drawn.items()}

    def _add(self, name: str, contour: Dataset) -> None:
        kind = str(contour.get("ContourGeometricType") or "")
        points = np.asarray(contour.get("ContourData") or [], dtype=np.float64).reshape(-1, 3)
        if kind not in _CLOSED or len(points) < 3:
            self._has_open = True
            return
        sources = frozenset(map(_source, contour.get("ContourImageSequence") or []))
        self._contours.append(_Contour(name, points, sources))


def _source(image: Dataset) -> tuple[str, int | None]:
    number = image.get("ReferencedFrameNumber")
    return str(image.ReferencedSOPInstanceUID), None if number is None else int(number)


def _referenced_series(dataset: Dataset) -> list[Dataset]:
    return [
        series
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
    ]


def _fill(polygons: list[NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill polygons of (row, column) points, large ones first: one wholly inside what is filled is a hole in it."""
    filled = []
    for points in polygons:
        area = np.zeros(size, dtype=bool)
        area[polygon(points[:, 0], points[:, 1], size)] = True
        filled.append(area)
    mask = np.zeros(size, dtype=bool)
    for area in sorted(filled, key=lambda one: -int(one.sum())):
        mask = mask & ~area if (mask & area).sum() == area.sum() else mask | area
    return mask
