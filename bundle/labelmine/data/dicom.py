"""Pixels of one DICOM frame as they should be looked at: rescaled, windowed, in colour where there is colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut
from pydicom.uid import RLELossless

from labelmine.data.bombs import refuse_huge_picture
from labelmine.data.dicom_display import grey_display
from labelmine.data.dicom_files import NO_META, decode_frame, names_its_syntax, open_dicom
from labelmine.data.intensities import Window
from labelmine.data.lookup_tables import WIDTH_DIFFERS, LookupTable, entry_bits, read_lookup_table
from labelmine.errors import DataError

_GREY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
#: Colour spaces that pydicom decodes to RGB, or that its decoders undo.
_COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_REQUIRED = ("SamplesPerPixel", "Rows", "Columns", "BitsAllocated")
_REQUIRED_OF_INTEGERS = ("BitsStored", "PixelRepresentation")
ASSUMED_GREY = "a Photometric Interpretation that is missing or unknown was taken as MONOCHROME2"
ASSUMED_RGB = "a Photometric Interpretation that is missing or unknown was taken as RGB"


def read_dicom(path: Path, frame: int | None = None, window: Window | None = None) -> np.ndarray:
    """Read one frame of a DICOM file.

    Grey frames pass the modality LUT (rescale), then ``window``, else the file's own VOI LUT or window, else 8-bit
    values as they are and 0.5-99.5 percentiles for deeper ones, padding left out; MONOCHROME1 is inverted. Colour
    spaces become RGB. Tags that are empty or odd give way to their defaults, see ``display_assumptions``.

    Args:
        path: DICOM file, any transfer syntax that the installed pydicom plugins decode.
        frame: Index of the frame; ``None`` for a single-frame file.
        window: (centre, width) in the file's units (Hounsfield units for CT); ignored for colour.

    Returns:
        (H, W) or (H, W, 3) float32 in [0, 1].

    Raises:
        DataError: A file without pixels, or without the tags that say what they are.
    """
    # The header and the one frame are read apart, so that a long clip is never held whole.
    dataset = open_dicom(path)
    _refuse_incomplete(dataset)
    interpretation, _ = _color_space(dataset)
    pixels = _decode(path, dataset, frame or 0, interpretation)
    if pixels.ndim == 3:
        return _unit_range(pixels, 2 ** int(dataset.BitsStored) - 1)
    if interpretation == _PALETTE:
        return _palette_colors(pixels, dataset)
    grey = grey_display(dataset, frame or 0).scale(pixels, window)
    return 1 - grey if interpretation == "MONOCHROME1" else grey


def display_assumptions(path: Path, frame: int | None = None) -> list[str]:
    """Say what ``read_dicom`` assumes of a file, from its header alone.

    Returns:
        A sentence for each tag that is empty or odd, the same for all files; none where the file says all.

    Raises:
        DataError: A file that ``read_dicom`` refuses.
    """
    dataset = open_dicom(path)
    _refuse_incomplete(dataset)
    interpretation, notes = _color_space(dataset)
    if not names_its_syntax(path):
        notes.insert(0, NO_META)
    if interpretation in _GREY:
        notes += grey_display(dataset, frame or 0).assumptions
    elif interpretation == _PALETTE and "RedPaletteColorLookupTableData" in dataset:
        notes += _palette(dataset)[2]
    return list(dict.fromkeys(notes))


def _refuse_incomplete(dataset: Dataset) -> None:
    """Refuse what is no image, and name the tags without which pixels mean nothing."""
    required = [*_REQUIRED, *([] if _is_float(dataset) else _REQUIRED_OF_INTEGERS)]
    missing = [name for name in required if dataset.get(name) is None]
    if not {"Rows", "Columns", "BitsAllocated"} - set(missing):
        kind = pydicom.uid.UID(str(dataset.get("SOPClassUID", ""))).name or "unknown"
        raise DataError(f"DICOM file without pixels (SOP class: {kind}); expected an image")
    if missing:
        raise DataError(
            f"DICOM tags are missing or empty: {', '.join(missing)}; without them the pixels cannot be read, so export "
            "the file again with them"
        )
    refuse_huge_picture(int(dataset.Rows), int(dataset.Columns))


def _is_float(dataset: Dataset) -> bool:
    """Float pixels (PS3.3 C.7.6.24-25) are 32 or 64 bits and say nothing of bits stored."""
    return dataset.get("BitsAllocated") in (32, 64) and "BitsStored" not in dataset


def _color_space(dataset: Dataset) -> tuple[str, list[str]]:
    """The file's colour space, else the default, and what was assumed."""
    given = str(dataset.get("PhotometricInterpretation") or "").strip().upper().replace("_", " ")
    known = {name.replace("_", " "): name for name in (*_GREY, _PALETTE, *_COLOR)}
    if given in known:
        return known[given], []
    if int(dataset.SamplesPerPixel) == 1:
        return "MONOCHROME2", [ASSUMED_GREY]
    syntax = dataset.file_meta.TransferSyntaxUID
    if given in ("", "COLOR", "TRUECOLOR") and (not syntax.is_compressed or syntax == RLELossless):
        return "RGB", [ASSUMED_RGB]
    raise DataError(
        f"PhotometricInterpretation: expected one of {', '.join(known.values())}, got {given or 'nothing'!r}; export "
        "the file again as RGB"
    )


def _decode(path: Path, dataset: Dataset, frame: int, interpretation: str) -> NDArray[Any]:
    is_given = dataset.get("PhotometricInterpretation") == interpretation
    options = {} if is_given else {"photometric_interpretation": interpretation}
    try:
        return decode_frame(path, dataset.file_meta.TransferSyntaxUID, frame, **options)
    except AttributeError as error:
        raise DataError(f"DICOM file without pixels ({error}); export it again with its pixel data") from error


def _unit_range(pixels: NDArray[Any], highest: int) -> np.ndarray:
    return np.asarray(np.clip(pixels / highest, 0, 1), dtype=np.float32)


def _palette(dataset: Dataset) -> tuple[list[LookupTable], int, list[str]]:
    """Tables of red, green and blue, their bits, and what was assumed."""
    is_little = dataset.file_meta.TransferSyntaxUID.is_little_endian
    names = [f"{color}PaletteColorLookupTable" for color in ("Red", "Green", "Blue")]
    missing = [f"{name}{part}" for name in names for part in ("Descriptor", "Data") if f"{name}{part}" not in dataset]
    if missing:
        raise DataError(f"DICOM tags are missing: {', '.join(missing)}; export the file again with its palette")
    stored = (-(2.0**15), 2.0**15 - 1) if dataset.PixelRepresentation else (0.0, 2.0**16 - 1)
    tables = [
        read_lookup_table(dataset[f"{name}Descriptor"].value, dataset[f"{name}Data"], is_little, stored)
        for name in names
    ]
    given = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    bits = entry_bits(int(max(table.entries.max() for table in tables)), given)
    notes = [note for table in tables for note in table.notes if note != WIDTH_DIFFERS]
    return tables, bits, notes + ([WIDTH_DIFFERS] if bits != given else [])


def _palette_colors(pixels: NDArray[Any], dataset: Dataset) -> np.ndarray:
    if "SegmentedRedPaletteColorLookupTableData" in dataset and "RedPaletteColorLookupTableData" not in dataset:
        colors = apply_color_lut(pixels, dataset)[..., :3]
        return _unit_range(colors, 2 ** (8 * colors.dtype.itemsize) - 1)
    tables, bits, _ = _palette(dataset)
    return _unit_range(np.stack([table(pixels) for table in tables], axis=-1), 2**bits - 1)
