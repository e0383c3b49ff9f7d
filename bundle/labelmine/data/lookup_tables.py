"""Lookup tables of DICOM: decoded from words, bytes or numbers, whatever their descriptor promises (PS3.3 C.11.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement

from labelmine.errors import DataError

#: Widths of entries that the standard knows.
_WIDTHS = (8, 10, 11, 12, 13, 14, 15, 16)
COUNT_DIFFERS = "lookup tables whose number of entries is not their descriptor's were read with all their entries"
WIDTH_DIFFERS = "lookup tables whose entries do not fit the bits of their descriptor were scaled by their entries"
SIGN_DIFFERS = "lookup tables whose first value was stored without its sign were read with it"


@dataclass(frozen=True)
class LookupTable:
    """Table from input values to output values.

    Attributes:
        entries: Output values.
        first: Input value of the first entry; values below it give the first entry, values past the end the last one.
        bits: Output values lie in [0, 2^bits - 1].
        notes: What was assumed in reading it.
    """

    entries: NDArray[np.int64]
    first: int
    bits: int
    notes: tuple[str, ...] = ()

    @property
    def highest(self) -> int:
        """Output value that is shown brightest."""
        return int(2**self.bits - 1)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Look up values of any number type; parts of a whole input value are cut off."""
        offsets = np.nan_to_num(np.floor(values.astype(np.float64) - self.first))
        return np.asarray(self.entries[np.clip(offsets, 0, len(self.entries) - 1).astype(np.int64)])


def read_lookup_table(
    descriptor: Any, data: DataElement, is_little: bool, inputs: tuple[float, float] | None = None
) -> LookupTable:
    """Decode a table; its entries count, and its descriptor where they leave a choice.

    Args:
        descriptor: The three values of LUT Descriptor: number of entries (0: 65536), first input value, bits.
        data: LUT Data: numbers, or bytes that hold words, or bytes with one entry each.
        is_little: Byte order of words in bytes.
        inputs: Lowest and highest possible input value, to tell whether ``first`` lost its sign.

    Raises:
        DataError: A descriptor without three numbers, or no entries.
    """
    try:
        count, first, bits = (int(value) for value in descriptor)
    except (TypeError, ValueError) as error:
        raise DataError(f"LUT Descriptor: expected three numbers, got {descriptor!r}") from error
    wanted = (count & 0xFFFF) or 2**16
    entries = _entries(data, wanted, bits, is_little)
    notes = [COUNT_DIFFERS] if len(entries) != wanted else []
    if inputs and first >= 2**15 and first > inputs[1]:
        first -= 2**16
        notes.append(SIGN_DIFFERS)
    width = entry_bits(int(entries.max()), bits)
    return LookupTable(entries, first, width, (*notes, *([WIDTH_DIFFERS] if width != bits else [])))


def entry_bits(highest: int, bits: int) -> int:
    """Bits of a table's output: the descriptor's, unless entries exceed them or leave three quarters of them unused."""
    if bits in _WIDTHS and 2**bits <= 4 * max(highest, 255) + 4 and highest < 2**bits:
        return bits
    return next(width for width in _WIDTHS if highest < 2**width)


def _entries(data: DataElement, wanted: int, bits: int, is_little: bool) -> NDArray[np.int64]:
    value = data.value
    if isinstance(value, bytes):
        entries = _unpack(value, data.VR, wanted, is_little)
    else:
        numbers = value if isinstance(value, Sequence) or hasattr(value, "__iter__") else [value]
        entries = np.asarray([int(number) & 0xFFFF for number in numbers if number is not None], dtype=np.int64)
        if bits <= 8 and len(entries) == (wanted + 1) // 2 < wanted:  # two entries of 8 bits in each word
            entries = entries.astype("<u2").view(np.uint8)[:wanted].astype(np.int64)
    if not len(entries):
        raise DataError("LUT Data holds no entries")
    return entries


def _unpack(value: bytes, vr: str, wanted: int, is_little: bool) -> NDArray[np.int64]:
    """Words, unless there are only as many bytes as entries (and one to make their number even)."""
    words = np.frombuffer(value[: len(value) // 2 * 2], dtype="<u2" if is_little else ">u2")
    if len(value) not in (wanted, wanted + 1):
        return words.astype(np.int64)
    packed = np.frombuffer(value, dtype=np.uint8) if vr != "OW" or is_little else words.astype("<u2").view(np.uint8)
    return packed[:wanted].astype(np.int64)
