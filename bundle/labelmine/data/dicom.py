"""Pixels of one DICOM frame as they should be looked at: rescaled, windowed, in colour where there is colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monai.data import PydicomReader
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from labelmine.data.intensities import Window, scale_by_percentiles, scale_by_window
from labelmine.errors import DataError

#: Functional groups of enhanced (multi-frame) objects that hold rescale and window, PS3.3 C.7.6.16.2.9-10.
_FRAME_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def read_dicom(path: Path, frame: int | None = None, window: Window | None = None) -> np.ndarray:
    """Read one frame of a DICOM file.

    Grey frames pass the modality LUT (rescale), then ``window``, else the file's own VOI LUT or window, else 8-bit
    values as they are and 0.5-99.5 percentiles for deeper ones; MONOCHROME1 is inverted. Colour spaces become RGB.

    Args:
        path: DICOM file, any transfer syntax that the installed pydicom plugins decode.
        frame: Index of the frame; ``None`` for a single-frame file.
        window: (centre, width) in the file's units (Hounsfield units for CT); ignored for colour.

    Returns:
        (H, W) or (H, W, 3) float32 in [0, 1].

    Raises:
        DataError: A file without pixels.
    """
    # The header and the one frame are read apart, so that a long clip is never held whole.
    dataset = PydicomReader(stop_before_pixels=True).read(path)
    interpretation = str(dataset.get("PhotometricInterpretation", ""))
    if not interpretation or "Rows" not in dataset:
        kind = pydicom.uid.UID(str(dataset.get("SOPClassUID", ""))).name or "unknown"
        raise DataError(f"DICOM file without pixels (SOP class: {kind}); expected an image")
    pixels = _decode(path, frame or 0)
    if pixels.ndim == 3:
        return _unit_range(pixels, int(dataset.BitsStored))
    if interpretation == "PALETTE COLOR":
        colors = apply_color_lut(pixels, dataset)
        return _unit_range(colors, 8 * colors.dtype.itemsize)
    grey = _grey(pixels, _frame_attributes(dataset, frame or 0), window)
    return 1 - grey if interpretation == "MONOCHROME1" else grey


def _decode(path: Path, frame: int) -> np.ndarray:
    try:
        return np.asarray(pixel_array(path, index=frame))
    except AttributeError as error:
        raise DataError(f"DICOM file without pixels ({error}); export it again with its pixel data") from error


def _unit_range(pixels: np.ndarray, bits: int) -> np.ndarray:
    return np.asarray(np.clip(pixels / (2**bits - 1), 0, 1), dtype=np.float32)


def _frame_attributes(dataset: Any, frame: int) -> Any:
    """Dataset with rescale and window of this frame, which enhanced objects keep in functional groups."""
    merged = Dataset()
    merged.update(dataset)
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared[:1], *per_frame[frame : frame + 1]]:
        for name in _FRAME_GROUPS:
            for attributes in group.get(name) or []:
                merged.update(attributes)
    return merged


def _grey(pixels: np.ndarray, dataset: Any, window: Window | None) -> np.ndarray:
    values = apply_modality_lut(pixels, dataset)
    if window is not None:
        return scale_by_window(values, window)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return _unit_range(apply_voi_lut(values.astype(np.int32), dataset), bits)
    if dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth") not in (None, ""):
        return _own_window(values, dataset)
    if int(dataset.BitsStored) <= 8 and values is pixels:
        return _unit_range(values, int(dataset.BitsStored))
    return scale_by_percentiles(values)


def _own_window(values: np.ndarray, dataset: Any) -> np.ndarray:
    """The file's first window, with its own function (LINEAR, LINEAR_EXACT, SIGMOID), scaled to [0, 1]."""
    with np.errstate(over="ignore"):
        windowed = apply_voi_lut(values, dataset, index=0)
        low, high = apply_voi_lut(np.array([-1e9, 1e9]), dataset, index=0)
    return np.asarray(np.clip((windowed - low) / (high - low), 0, 1), dtype=np.float32)
