"""How a grey DICOM frame is to be shown: rescale, window or lookup table, and defaults where tags are empty or odd."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_windowing

from labelmine.data.intensities import Window, percentile_limits, scale_by_window, scale_to_limits
from labelmine.data.lookup_tables import LookupTable, read_lookup_table
from labelmine.errors import DataError

#: Functional groups of enhanced (multi-frame) objects that hold rescale and window, PS3.3 C.7.6.16.2.9-10.
_FRAME_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
RESCALE = "Rescale Slope and Rescale Intercept that are missing, empty or no numbers were taken as 1 and 0"
WINDOW = "Window Center and Window Width that are empty, odd or too narrow were passed over"
SECOND_WINDOW = "of several windows, the first that can be used was taken"
FUNCTION = "a VOI LUT Function that is none of LINEAR, LINEAR_EXACT and SIGMOID was taken as LINEAR"
TABLE = "lookup tables without descriptor or entries were passed over"


@dataclass(frozen=True)
class GreyDisplay:
    """What happens to the stored values of a grey frame, in this order.

    Attributes:
        attributes: What pydicom needs to know to rescale and window, and only what it can use.
        modality: Modality LUT, in place of the rescale.
        voi: VOI LUT, in place of a window.
        window_index: Which of the file's windows; None: there is none.
        full_range: Stored values that become 0 and 1 where nothing else is said; None: percentiles decide.
        padding: Lowest and highest stored value that stands for no pixel.
        assumptions: Where tags were empty or odd: what was assumed.
    """

    attributes: Dataset
    modality: LookupTable | None = None
    voi: LookupTable | None = None
    window_index: int | None = None
    full_range: tuple[float, float] | None = None
    padding: tuple[float, float] | None = None
    assumptions: list[str] = field(default_factory=list)

    def scale(self, pixels: NDArray[Any], window: Window | None = None) -> NDArray[np.float32]:
        """Map stored values to [0, 1]; ``window`` goes before the file's own."""
        values = self.modality(pixels) if self.modality else apply_modality_lut(pixels, self.attributes)
        if window is not None:
            return scale_by_window(values, window)
        if self.voi is not None:
            return np.asarray(self.voi(values) / self.voi.highest, dtype=np.float32).clip(0, 1)
        if self.window_index is not None:
            return self._own_window(values)
        if self.full_range is not None:
            return scale_to_limits(values, *self.full_range)
        return scale_to_limits(values, *percentile_limits(self._inside(pixels, values)))

    def _own_window(self, values: NDArray[Any]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            windowed = apply_windowing(values, self.attributes, self.window_index)
            low, high = apply_windowing(np.array([-np.inf, np.inf]), self.attributes, self.window_index)
        return np.asarray(np.clip((windowed - low) / (high - low), 0, 1), dtype=np.float32)

    def _inside(self, pixels: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
        if self.padding is None:
            return values
        inside = values[(pixels < self.padding[0]) | (pixels > self.padding[1])]
        return inside if inside.size else values


def grey_display(dataset: Dataset, frame: int = 0) -> GreyDisplay:
    """Understand the display tags of a grey frame.

    Args:
        dataset: Attributes of the file, its pixels not needed.
        frame: Index of the frame, whose functional groups of an enhanced object count.
    """
    source = _frame_attributes(dataset, frame)
    notes: list[str] = []
    stored = _stored_range(dataset)
    modality = _table(source, "ModalityLUTSequence", dataset, stored, notes)
    attributes = _pixel_attributes(dataset)
    if modality is None:
        _rescale(source, attributes, notes)
    outputs = (0.0, float(modality.highest)) if modality else _rescaled(stored, attributes)
    voi = _table(source, "VOILUTSequence", dataset, outputs, notes)
    index = None if voi else _window(source, attributes, notes)
    is_plain = int(dataset.get("BitsStored") or 64) <= 8 and modality is None and "RescaleSlope" not in attributes
    full_range = stored if is_plain else None
    return GreyDisplay(attributes, modality, voi, index, full_range, _padding(dataset, stored), notes)


def numbers(dataset: Dataset, name: str) -> list[float]:
    """Values of an attribute; none where it is absent, empty or no number, NaN for a part of it that is none."""
    try:
        value = dataset.get(name)
    except (TypeError, ValueError):  # pydicom converts when it is asked
        return []
    parts = value if isinstance(value, MultiValue) else [] if value is None or value == "" else [value]
    return [_number(part) for part in parts]


def _number(part: Any) -> float:
    try:
        return float(part)
    except (TypeError, ValueError):
        return np.nan


def _frame_attributes(dataset: Dataset, frame: int) -> Dataset:
    """Data set with rescale and window of this frame, which enhanced objects keep in functional groups."""
    merged = Dataset()
    merged.update(dataset)
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared[:1], *per_frame[frame : frame + 1]]:
        for name in _FRAME_GROUPS:
            for attributes in group.get(name) or []:
                merged.update(attributes)
    return merged


def _pixel_attributes(dataset: Dataset) -> Dataset:
    """The range of stored values, of which only the proportion to the window matters: it is scaled to [0, 1]."""
    attributes = Dataset()
    attributes.PhotometricInterpretation = "MONOCHROME2"
    attributes.BitsStored = int(dataset.get("BitsStored") or 16)
    attributes.PixelRepresentation = int(dataset.get("PixelRepresentation") or 0)
    return attributes


def _stored_range(dataset: Dataset) -> tuple[float, float]:
    bits, is_signed = int(dataset.get("BitsStored") or 0), bool(dataset.get("PixelRepresentation"))
    if not bits:
        return -np.inf, np.inf
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if is_signed else (0.0, 2.0**bits - 1)


def _rescale(source: Dataset, attributes: Dataset, notes: list[str]) -> None:
    """Take over the rescale; neither of its tags: none."""
    if "RescaleSlope" not in source and "RescaleIntercept" not in source:
        return
    for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0)):
        given = numbers(source, name)
        if len(given) == 1 and np.isfinite(given[0]) and (given[0] or name == "RescaleIntercept"):
            attributes.add(source[name])
        else:
            setattr(attributes, name, default)
            notes.append(RESCALE)
    if notes.count(RESCALE) == 2:  # nothing is left of it
        del attributes.RescaleSlope, attributes.RescaleIntercept
    notes[:] = dict.fromkeys(notes)


def _rescaled(stored: tuple[float, float], attributes: Dataset) -> tuple[float, float]:
    slope, intercept = (float(attributes.get(*pair)) for pair in (("RescaleSlope", 1), ("RescaleIntercept", 0)))
    ends = sorted(value * slope + intercept for value in stored)
    return ends[0], ends[1]


def _table(
    source: Dataset, name: str, dataset: Dataset, inputs: tuple[float, float], notes: list[str]
) -> LookupTable | None:
    item = next(iter(source.get(name) or []), None)
    if item is None:
        return None
    try:
        if item.get("LUTDescriptor") is None or item.get("LUTData") is None:
            raise DataError("LUT Descriptor or LUT Data is missing")
        is_little = dataset.file_meta.TransferSyntaxUID.is_little_endian
        table = read_lookup_table(item.LUTDescriptor, item["LUTData"], is_little, inputs)
    except DataError:
        notes.append(TABLE)
        return None
    notes.extend(table.notes)
    return table


def _window(source: Dataset, attributes: Dataset, notes: list[str]) -> int | None:
    """Take over the windows and their function; return the index of the first that can be used."""
    if "WindowCenter" not in source and "WindowWidth" not in source:
        return None
    function = str(source.get("VOILUTFunction") or "").strip().upper()
    if "VOILUTFunction" in source and function not in _VOI_FUNCTIONS:
        notes.append(FUNCTION)
    attributes.VOILUTFunction = function = function if function in _VOI_FUNCTIONS else "LINEAR"
    pairs = zip(numbers(source, "WindowCenter"), numbers(source, "WindowWidth"), strict=False)
    for index, (centre, width) in enumerate(pairs):
        if (
            np.isfinite(centre)
            and np.isfinite(width)
            and width >= (1 if function == "LINEAR" else np.finfo(float).tiny)
        ):
            attributes.add(source["WindowCenter"])
            attributes.add(source["WindowWidth"])
            notes.extend([SECOND_WINDOW] if index else [])
            return index
    notes.append(WINDOW)
    return None


def _padding(dataset: Dataset, stored: tuple[float, float]) -> tuple[float, float] | None:
    """Stored values that stand for no pixel: PS3.3 C.7.5.1.1.2, and their likes for float pixels."""
    for prefix in ("", "Float", "DoubleFloat"):
        value, limit = (numbers(dataset, f"{prefix}PixelPadding{name}") for name in ("Value", "RangeLimit"))
        if value and np.isfinite([*value[:1], *limit[:1]]).all():
            ends = [_as_stored(end, dataset, stored) for end in [*value[:1], *limit[:1]]]
            return min(ends), max(ends)
    return None


def _as_stored(value: float, dataset: Dataset, stored: tuple[float, float]) -> float:
    """A padding value that was written without its sign, or with bits that are not stored, as pixels are decoded."""
    if stored[0] <= value <= stored[1]:
        return value
    bits = int(dataset.BitsStored)
    low = int(value) % 2**bits
    return float(low - 2**bits if low > stored[1] else low)
