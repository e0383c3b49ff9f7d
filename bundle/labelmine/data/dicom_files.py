"""DICOM files as they lie in folders: with or without preamble, suffix and meta header, compressed or deflated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.misc import is_dicom
from pydicom.pixels import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from labelmine.data.bombs import refuse_deflate_bomb
from labelmine.errors import DataError

#: First four bytes of a data set that begins without preamble: an element of group 2 or 8, in either byte order.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
_META, _BLOCK = 2**16, 2**20  # bytes within which a meta header names its syntax; that are read at once
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "Rows")
NO_META = "DICOM files without meta header were read in the encoding that their first elements show"


def is_dicom_file(path: Path) -> bool:
    """Tell by content whether a file is DICOM: by its prefix, else, without preamble, by its first elements."""
    if is_dicom(path):
        return True
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) < 8 or start[:2] not in _FIRST_GROUPS:
        return False
    try:
        _refuse_bomb(path)
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_IDENTITY))
        return any(dataset.get(name) for name in _IDENTITY) and UID(str(dataset.get("SOPClassUID", "1.2"))).is_valid
    except Exception:  # bytes of another format trip whatever they happen to trip
        return False


def open_dicom(path: Path, tags: list[str] | None = None, pixels: bool = False) -> Dataset:
    """Read a file's attributes; a missing meta header is made up for.

    Args:
        path: DICOM file, with or without preamble.
        tags: Keywords to read; None: all.
        pixels: Whether to read the pixel data, too.

    Returns:
        Data set whose ``file_meta`` names a transfer syntax.

    Raises:
        InvalidDicomError: The content is no DICOM.
        DataError: It unpacks to more than fits.
    """
    if not is_dicom_file(path):
        raise InvalidDicomError("content is no DICOM")
    _refuse_bomb(path)
    dataset = pydicom.dcmread(path, force=True, stop_before_pixels=not pixels, specific_tags=tags)
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = _native_syntax(*dataset.original_encoding)
    return dataset


def names_its_syntax(path: Path) -> bool:
    """Whether a file has a meta header that names its transfer syntax; ``open_dicom`` makes up for one that has not."""
    return bool(pydicom.dcmread(path, force=True, specific_tags=[]).file_meta.get("TransferSyntaxUID"))


def decode_frame(path: Path, syntax: UID, frame: int, **options: Any) -> NDArray[Any]:
    """Decode one frame; only where the file cannot be read in place is it read whole.

    Args:
        path: DICOM file.
        syntax: Its transfer syntax, of ``open_dicom``.
        frame: Index of the frame.
        **options: Attributes that pydicom is to take instead of the file's.

    Returns:
        (H, W) or (H, W, samples) stored values; YBR_FULL and YBR_FULL_422 as RGB.
    """
    if syntax == DeflatedExplicitVRLittleEndian:
        return _decode_whole(path, frame, options)
    try:
        return np.asarray(pixel_array(path, index=frame, **options))
    except Exception as error:  # without meta header, or damaged so that only the whole file shows the way
        try:
            return _decode_whole(path, frame, options)
        except DataError:
            raise
        except Exception:
            raise error from None


def _decode_whole(path: Path, frame: int, options: dict[str, Any]) -> NDArray[Any]:
    whole = open_dicom(path, pixels=True)
    if "PixelData" in whole and whole["PixelData"].is_undefined_length and not names_its_syntax(path):
        raise DataError(
            "compressed pixels, and no meta header that names the transfer syntax; export it again as a DICOM file"
        )
    return np.asarray(pixel_array(whole, index=frame, **options))


def _refuse_bomb(path: Path) -> None:
    """Look how long a deflated data set is: pydicom unpacks it whole, whatever is asked of it."""
    with path.open("rb") as file:
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(_META):
            return
        file.seek(0)
        read_preamble(file, force=True)
        _read_file_meta_info(file)  # leaves the file where the data set begins
        refuse_deflate_bomb(iter(lambda: file.read(_BLOCK), b""))


def _native_syntax(is_implicit: bool | None, is_little: bool | None) -> UID:
    if is_little is False:
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if is_implicit is False else ImplicitVRLittleEndian
