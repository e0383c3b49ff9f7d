"""What a file holds, read from its name and header alone: its kind, its frames, whose it is, the size of a pixel."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeVar

import numpy as np
from pydicom.dataset import Dataset

from labelmine.data.bombs import open_nifti
from labelmine.data.dicom_files import is_dicom_file, open_dicom
from labelmine.data.dicom_geometry import PLANE_TAGS, read_plane
from labelmine.data.dicom_references import GOLD_KINDS
from labelmine.data.items import Item
from labelmine.errors import DataError

logger = logging.getLogger(__name__)

Kind = Literal["picture", "nifti", "dicom"]

PICTURE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".mpo", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm"
)  # fmt: skip
NIFTI_SUFFIXES = (".nii", ".nii.gz")
DICOM_SUFFIXES = (".dcm", ".dicom")
#: Files that lie beside images and are not worth opening to see whether they are DICOM without suffix.
OTHER_SUFFIXES = (".csv", ".json", ".jsonl", ".txt", ".md", ".xml", ".html", ".yaml", ".yml", ".pdf", ".zip", ".xlsx")
_DICOM_TAGS = ["SOPClassUID", "NumberOfFrames", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", *PLANE_TAGS[:3]]
_FRAME_GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
_SPACING_TAGS = ["PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", *_FRAME_GROUPS]
#: Millimetres per unit of a NIfTI affine; ``unknown`` is read as mm, as nibabel and ITK do.
_NIFTI_UNITS = {"meter": 1000.0, "micron": 0.001}

T = TypeVar("T")


@dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Attributes:
        frames: Number of frames or slices; ``None`` for a plain 2-D image.
        patient: DICOM Patient ID, empty where there is none. Only compared, never written anywhere.
        study: DICOM Study Instance UID, likewise.
        series: DICOM Series Instance UID, likewise.
        depth: Position of a DICOM image along its normal, in mm; ``None`` where the file does not say.
        is_gold: Whether the file holds no image but masks of others: a DICOM Segmentation or RT Structure Set.
    """

    frames: int | None = None
    patient: str = ""
    study: str = ""
    series: str = ""
    depth: float | None = None
    is_gold: bool = False


def file_kind(path: Path) -> Kind | None:
    """Tell how a file is read, by suffix, else by whether its first bytes are DICOM; ``None``: no image."""
    name = path.name.lower()
    if name.endswith(PICTURE_SUFFIXES):
        return "picture"
    if name.endswith(NIFTI_SUFFIXES):
        return "nifti"
    if name.endswith(DICOM_SUFFIXES):
        return "dicom"
    # A DICOMDIR is an index of other files, with the same prefix.
    if name.endswith(OTHER_SUFFIXES) or name == "dicomdir":
        return None
    return "dicom" if path.is_file() and is_dicom_file(path) else None


def without_suffix(path: PurePath) -> PurePath:
    """Drop an image suffix (``.nii.gz`` whole); the dots of ``scan.v2`` or of a UID are no suffix."""
    for suffix in (".nii.gz", *PICTURE_SUFFIXES, ".nii", *DICOM_SUFFIXES):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.with_name(path.name[: -len(suffix)])
    return path


def read_header(path: Path, slice_axis: int = -1) -> Header:
    """Read how many frames an image file holds, without its pixels.

    Args:
        path: Image file.
        slice_axis: Axis along which NIfTI volumes are cut, counted without axes of size 1.

    Raises:
        DataError: A header that cannot be read, a volume that is neither 2-D nor 3-D.
    """
    kind = file_kind(path)
    if kind == "picture" or kind is None:
        return Header()
    return _guarded(path, lambda: _nifti_header(path, slice_axis) if kind == "nifti" else _dicom_header(path))


def pixel_spacing(item: Item, slice_axis: int = -1) -> tuple[float, float] | None:
    """Read how far apart the pixels of an item's image, and so of its masks, lie in the patient.

    NIfTI: the lengths of the affine's columns for the two axes of the slice, in the order of ``read_image``. DICOM:
    Pixel Spacing, of the frame for enhanced objects. Imager Pixel Spacing is not used: it holds on the detector, where
    a projection is larger than the patient. Neither is a Pixel Spacing equal to it or to Nominal Scanned Pixel Spacing,
    which PS3.3 10.7.1.1 defines as not corrected for that magnification. PNG, JPEG, BMP and TIFF give none: their
    resolution is that of a print.

    Args:
        item: Item with ``image``, and ``frame`` for a frame or slice.
        slice_axis: Axis along which NIfTI volumes are cut, counted without axes of size 1.

    Returns:
        (row, column): millimetres from one row of pixels to the next, and from one column to the next; ``None`` where
        the file does not say.

    Raises:
        DataError: A header that cannot be read, or a slice that the volume does not have; names the file.
    """
    path = Path(item["image"])
    kind = file_kind(path)
    if kind == "picture" or kind is None:
        return None
    frame = item.get("frame")
    try:
        lengths = _guarded(
            path,
            lambda: _nifti_spacing(path, frame, slice_axis) if kind == "nifti" else _dicom_spacing(path, frame or 0),
        )
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error
    if len(lengths) != 2 or not all(math.isfinite(length) and length > 0 for length in lengths):
        return None
    return lengths[0], lengths[1]


def _guarded(path: Path, read: Callable[[], T]) -> T:
    """Turn whatever a damaged header raises into a DataError."""
    if not path.is_file():
        raise DataError("file does not exist; correct its path")
    if path.stat().st_size == 0:
        raise DataError("file is empty (0 bytes); copy it again")
    try:
        return read()
    except DataError:
        raise
    except Exception as error:  # nibabel and pydicom raise whatever a damaged header happens to trip
        raise DataError(f"header cannot be read ({type(error).__name__}); export the file again") from error


def _nifti_header(path: Path, slice_axis: int) -> Header:
    shape = open_nifti(path).shape
    frames = [length for length in shape if length > 1]
    slice_index(shape, 0 if len(frames) == 3 else None, slice_axis)
    return Header(frames=frames[slice_axis] if len(frames) == 3 else None)


def _dicom_header(path: Path) -> Header:
    dataset = open_dicom(path, _DICOM_TAGS)
    frames = _number_of_frames(dataset)
    plane = read_plane(dataset)
    return Header(
        frames=frames if frames > 1 else None,
        patient=str(dataset.get("PatientID") or ""),
        study=str(dataset.get("StudyInstanceUID") or ""),
        series=str(dataset.get("SeriesInstanceUID") or ""),
        depth=None if plane is None else plane.depth,
        is_gold=str(dataset.get("SOPClassUID") or "") in GOLD_KINDS,
    )


def _number_of_frames(dataset: Dataset) -> int:
    try:
        return int(dataset.get("NumberOfFrames") or 1)
    except ValueError as error:
        raise DataError(f"NumberOfFrames: expected a number ({error}); correct it, or export the file again") from error


def _nifti_spacing(path: Path, frame: int | None, slice_axis: int) -> list[float]:
    volume = open_nifti(path)
    axes = [axis for axis, part in enumerate(slice_index(volume.shape, frame, slice_axis)) if isinstance(part, slice)]
    scale = _NIFTI_UNITS.get(volume.header.get_xyzt_units()[0], 1.0)
    lengths = np.linalg.norm(volume.affine[:3, :3], axis=0) * scale
    # An axis beyond the third is time or channels, which have no length.
    return [float(lengths[axis]) for axis in axes if axis < 3]


def _dicom_spacing(path: Path, frame: int) -> list[float]:
    dataset = open_dicom(path, _SPACING_TAGS)
    shared, per_frame = (dataset.get(name) or [] for name in _FRAME_GROUPS)
    groups = [*shared[:1], *per_frame[frame : frame + 1]]
    sources = [dataset, *(measures for group in groups for measures in group.get("PixelMeasuresSequence") or [])]
    given = next(filter(None, (_numbers(source, "PixelSpacing") for source in reversed(sources))), [])
    uncorrected = [_numbers(dataset, name) for name in ("ImagerPixelSpacing", "NominalScannedPixelSpacing")]
    return [] if given in uncorrected else given


def _numbers(dataset: Dataset, name: str) -> list[float]:
    """Values of an attribute; none where it is absent or holds no numbers, which need not stop an evaluation."""
    try:
        return [float(value) for value in np.atleast_1d(dataset.get(name) or [])]
    except (TypeError, ValueError):
        logger.warning("DICOM attribute %s holds no numbers; taken as unknown", name)
        return []


def slice_index(shape: Sequence[int], frame: int | None, slice_axis: int = -1) -> tuple[int | slice, ...]:
    """Index of a 2-D slice in a NIfTI array, to read it and to put a mask back in its place.

    Slices keep the order of the array's axes, so H and W are the remaining two; axes of size 1 are dropped.

    Args:
        shape: Shape of the volume, axes of size 1 included.
        frame: Slice number; ``None`` where the file holds a single 2-D image.
        slice_axis: Axis along which the volume is cut, counted without axes of size 1.

    Raises:
        DataError: Dimensions, axis or slice number that do not fit.

    Example:
        >>> slice_index((32, 47, 41), 7)
        (slice(None, None, None), slice(None, None, None), 7)
        >>> slice_index((320, 240, 1), None)
        (slice(None, None, None), slice(None, None, None), 0)
    """
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    wanted = 2 if frame is None else 3
    if len(axes) != wanted:
        remedy = "; save each time point or channel as a volume of its own" if len(axes) > 3 else ""
        raise DataError(f"expected {wanted} dimensions (those of size 1 not counted), got shape {tuple(shape)}{remedy}")
    index: list[int | slice] = [slice(None) if axis in axes else 0 for axis in range(len(shape))]
    if frame is not None:
        if not -3 <= slice_axis <= 2:
            raise DataError(f"slice_axis: expected -3 to 2, got {slice_axis}")
        axis = axes[slice_axis]
        if not 0 <= frame < shape[axis]:
            raise DataError(f"slice {frame} lies outside axis {axis} of shape {tuple(shape)}")
        index[axis] = frame
    return tuple(index)


def patient_groups(names: Sequence[str], headers: Sequence[Header]) -> list[str]:
    """Name the group of each file after the first file of the same patient, so that no identifier is written.

    Where all files give the same patient, it is often a placeholder of an anonymiser: then the study makes the group.

    Args:
        names: Id of each file.
        headers: Header of each file.
    """
    patients = {header.patient for header in headers if header.study or header.patient}
    by_study = len(patients) == 1 and len({header.study for header in headers if header.study}) > 1
    first: dict[str, str] = {}
    groups = []
    for name, header in zip(names, headers, strict=True):
        key = header.study if by_study else header.patient or header.study
        groups.append(first.setdefault(key, name) if key else name)
    return groups
