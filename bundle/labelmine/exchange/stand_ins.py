"""What highdicom is told of the images that a segmentation is of: what their files hold, whatever their SOP class says.

highdicom decides by the SOP class whether an image has frames and a place, and wants one orientation, complete patient
attributes and a known class. Files are often otherwise: clips without functional groups, retired classes, orientations
that differ in the seventh digit. So it gets stand-ins, and ``correct_references`` names the files' own classes and
frames afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import DA, TM, DSfloat

from labelmine.data.dicom_geometry import Plane
from labelmine.data.headers import pixel_spacing
from labelmine.exchange.dicom_stacks import Stack
from labelmine.exchange.identity import Identity

#: Attributes of patient and study that a segmentation must have, be it empty (type 2).
REQUIRED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
#: Dates and times, with what ACR-NEMA put between their parts.
_FORMS = {"PatientBirthDate": (DA, "."), "StudyDate": (DA, "."), "StudyTime": (TM, ":")}
_SERIES_OFFSET = 1000
UTF_8 = "ISO_IR 192"
_SEXES = ("M", "F", "O")
#: Attributes of the pixels that are the file's own business.
_LEFT_OUT = frozenset({"SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames"})
#: Where the frames of a clip without places stand in, one behind the other.
_NOWHERE = Plane(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.0, 1.0))


def stand_ins(stack: Stack, identity: Identity) -> list[Dataset]:
    """Return the source images of a segmentation of a stack, as highdicom takes them.

    Args:
        stack: The stack.
        identity: Whose the segmentation is to be.
    """
    first = stack.frames[0]
    source = taken_over(identity.attributes(first.header))
    _set_identity(source, first.header, identity)
    if stack.is_of_clip:
        return [_clip(stack, source)]
    if not is_placed(stack):
        return [_single(stack, source)]
    rest = [Dataset() for _ in stack.frames[1:]]
    for frame, one in zip(stack.frames, [source, *rest], strict=True):
        _set_identity(one, frame.header, identity)
        _place(one, frame.plane or _NOWHERE, first.plane or _NOWHERE)
    (source.SliceThickness,) = _decimal([stack.thickness])
    return [source, *rest]


def is_placed(stack: Stack) -> bool:
    """Whether a segmentation of a stack can say where it lies: a place without thickness is none to highdicom."""
    return stack.is_placed and stack.thickness is not None


def correct_references(segmentation: Dataset, stack: Stack, identity: Identity) -> None:
    """Let a segmentation refer to the classes and frames that files have, not those of the stand-ins; in place."""
    classes = {identity.uid(frame.instance): frame.header.SOPClassUID for frame in stack.frames}
    numbers = [frame.number or 1 for frame in stack.frames]
    once = {id(reference): reference for reference in _references(segmentation)}  # segments share those of a frame
    for reference in once.values():
        reference.ReferencedSOPClassUID = classes[reference.ReferencedSOPInstanceUID]
        if "ReferencedFrameNumber" in reference:
            reference.ReferencedFrameNumber = numbers[int(reference.ReferencedFrameNumber) - 1]
    if not is_placed(stack):
        segmentation.PatientOrientation = stack.frames[0].header.get("PatientOrientation") or ""
        if stack.is_of_clip:
            _forget_places(segmentation, stack)
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        if "SliceThickness" not in (shared.get("PixelMeasuresSequence") or [Dataset()])[0]:
            shared.pop("PixelMeasuresSequence", None)  # incomplete without it, and said by the images themselves


def derived_number(stack: Stack) -> int:
    """Number of a series of masks: that of its images and 1000."""
    try:
        return _SERIES_OFFSET + max(int(stack.frames[0].header.get("SeriesNumber") or 0), 0)
    except (TypeError, ValueError):
        return _SERIES_OFFSET


def taken_over(header: Dataset) -> Dataset:
    """Return attributes of an image with all that its masks must have; empty where a value is none that they may."""
    source = Dataset()
    for tag in list(header.keys()):
        try:
            element = header[tag]
        except (ValueError, TypeError, KeyError, NotImplementedError):  # a value that is none of its kind
            continue
        if element.keyword and element.keyword not in _LEFT_OUT:
            source.add(element)
    for name in REQUIRED:
        setattr(source, name, _valid(name, source.get(name)))
    return source


def _valid(name: str, value: Any) -> Any:
    if name == "PatientSex":
        return value if value in _SEXES else ""
    if name not in _FORMS or not value:
        return "" if value is None else value
    kind, separator = _FORMS[name]
    text = str(value).replace(separator, "")
    try:
        return text if kind(text) is not None else ""
    except (ValueError, TypeError):
        return ""


def _set_identity(one: Dataset, header: Dataset, identity: Identity) -> None:
    one.SOPClassUID = CTImageStorage
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if header.get(name):
            setattr(one, name, identity.uid(str(header[name].value)))
        else:
            one.pop(name, None)
    one.Rows, one.Columns = header.Rows, header.Columns


def _place(one: Dataset, plane: Plane, first: Plane) -> None:
    """Set position, and the orientation and spacing of the first slice, from which it differs by rounding alone."""
    one.ImagePositionPatient = _decimal(plane.position)
    one.ImageOrientationPatient = _decimal([*first.along_row, *first.along_column])
    one.PixelSpacing = _decimal(first.spacing)


def _single(stack: Stack, source: Dataset) -> Dataset:
    source.SOPClassUID = SecondaryCaptureImageStorage
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SpacingBetweenSlices"):
        if name in source:
            del source[name]
    source.SliceThickness = None if stack.thickness is None else _decimal([stack.thickness])[0]
    if (spacing := pixel_spacing(stack.frames[0].item)) is not None:
        source.PixelSpacing = _decimal(spacing)
    return source


def _clip(stack: Stack, source: Dataset) -> Dataset:
    first = stack.frames[0].plane or _NOWHERE
    source.SOPClassUID, source.NumberOfFrames = EnhancedMRImageStorage, len(stack.frames)
    source.setdefault("FrameOfReferenceUID", generate_uid())
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = _decimal([*first.along_row, *first.along_column])
    spacing = first.spacing if is_placed(stack) else pixel_spacing(stack.frames[0].item)
    measures.PixelSpacing = _decimal(spacing or first.spacing)
    if stack.thickness is not None and spacing is not None:
        (measures.SliceThickness,) = _decimal([stack.thickness])
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    source.SharedFunctionalGroupsSequence = [shared]
    places = [frame.plane.position if frame.plane else _nowhere(index) for index, frame in enumerate(stack.frames)]
    source.PerFrameFunctionalGroupsSequence = [_position(place) for place in places]
    return source


def _nowhere(index: int) -> NDArray[np.float64]:
    """Position of a frame, so that frames keep their order when highdicom sorts them, from the far side."""
    return np.array([0.0, 0.0, -float(index)])


def _position(place: NDArray[np.float64]) -> Dataset:
    group, position = Dataset(), Dataset()
    position.ImagePositionPatient = _decimal(place)
    group.PlanePositionSequence = [position]
    return group


def _decimal(values: object) -> list[DSfloat]:
    return [DSfloat(float(value), auto_format=True) for value in np.asarray(values)]


def _references(segmentation: Dataset) -> Iterator[Dataset]:
    yield from segmentation.get("SourceImageSequence") or []
    for series in segmentation.get("ReferencedSeriesSequence") or []:
        yield from series.ReferencedInstanceSequence
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or []:
            yield from derivation.SourceImageSequence


def _forget_places(segmentation: Dataset, stack: Stack) -> None:
    """Frames of a clip differ in time, not in place: their dimension becomes the Temporal Position Index."""
    header = stack.frames[0].header
    if not header.get("FrameOfReferenceUID"):
        del segmentation.FrameOfReferenceUID, segmentation.PositionReferenceIndicator
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    del shared.PlaneOrientationSequence
    shared.PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)
    segmentation.pop("DimensionOrganizationType", None)
    for dimension in segmentation.DimensionIndexSequence:
        if dimension.DimensionIndexPointer == Tag("ImagePositionPatient"):
            dimension.DimensionIndexPointer = Tag("TemporalPositionIndex")
            dimension.FunctionalGroupPointer = Tag("FrameContentSequence")
            dimension.DimensionDescriptionLabel = "Frame of the clip"
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
        content = group.FrameContentSequence[0]
        content.TemporalPositionIndex = content.DimensionIndexValues[1]
