from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

from labelmine.data.lookup_tables import (
    COUNT_DIFFERS,
    SIGN_DIFFERS,
    WIDTH_DIFFERS,
    LookupTable,
    entry_bits,
    read_lookup_table,
)
from labelmine.errors import DataError

RISING = np.arange(256) * 16


def lut_data(value: Any, vr: str) -> DataElement:
    return DataElement("LUTData", vr, value)


@pytest.mark.parametrize(
    ("data", "is_little"),
    [
        (lut_data(RISING.tolist(), "US"), True),
        (lut_data(RISING.astype("<u2").tobytes(), "OW"), True),
        (lut_data(RISING.astype(">u2").tobytes(), "OW"), False),
        (lut_data(RISING.astype("<u2").tobytes(), "UN"), True),
        (lut_data(RISING.astype("<u2").tobytes(), "OB"), True),
    ],
)
def test_words_in_any_encoding(data: DataElement, is_little: bool) -> None:
    table = read_lookup_table([256, -10, 12], data, is_little)
    np.testing.assert_array_equal(table.entries, RISING)
    assert (table.first, table.bits, table.highest, table.notes) == (-10, 12, 4095, ())


@pytest.mark.parametrize("count", [255, 256])
@pytest.mark.parametrize(
    ("vr", "is_little"), [("OW", True), ("OW", False), ("OB", True), ("OB", False), ("UN", True), ("US", True)]
)
def test_entries_of_8_bits_packed_in_words(count: int, vr: str, is_little: bool) -> None:
    entries = np.arange(count, dtype=np.uint8)[::-1]
    packed = entries.tobytes() + b"\0" * (count % 2)
    value: Any = packed
    if vr == "US":
        value = np.frombuffer(packed, dtype="<u2").tolist()
    elif vr == "OW" and not is_little:
        value = np.frombuffer(packed, dtype="<u2").astype(">u2").tobytes()
    table = read_lookup_table([count, 0, 8], lut_data(value, vr), is_little)
    np.testing.assert_array_equal(table.entries, entries)
    assert (table.bits, table.notes) == (8, ())


def test_entries_of_8_bits_in_words_of_their_own() -> None:
    table = read_lookup_table([256, 0, 8], lut_data(np.arange(256).astype("<u2").tobytes(), "OW"), True)
    np.testing.assert_array_equal(table.entries, np.arange(256))
    assert (table.bits, table.notes) == (8, ())


def test_no_count_means_65536() -> None:
    table = read_lookup_table([0, 0, 16], lut_data(np.arange(2**16, dtype="<u2").tobytes(), "OW"), True)
    assert (len(table.entries), table.notes) == (2**16, ())
    stored_with_sign = read_lookup_table([40000 - 2**16, 0, 16], lut_data(list(range(40000)), "US"), True)
    assert (len(stored_with_sign.entries), stored_with_sign.notes) == (40000, ())


@pytest.mark.parametrize("count", [200, 300])
def test_entries_count_where_the_descriptor_says_otherwise(count: int) -> None:
    table = read_lookup_table([count, 0, 12], lut_data(RISING.astype("<u2").tobytes(), "OW"), True)
    np.testing.assert_array_equal(table.entries, RISING)
    assert table.notes == (COUNT_DIFFERS,)


@pytest.mark.parametrize(
    ("highest", "bits", "expected"),
    [(4095, 12, 12), (4095, 16, 12), (4095, 8, 12), (255, 16, 8), (65535, 8, 16), (20000, 16, 16), (1000, 12, 10),
     (3, 8, 8), (0, 16, 8), (255, 0, 8), (300, 9, 10), (70, 99, 8)],
)  # fmt: skip
def test_bits_are_those_of_the_entries(highest: int, bits: int, expected: int) -> None:
    assert entry_bits(highest, bits) == expected
    table = read_lookup_table([2, 0, bits], lut_data([0, highest], "US"), True)
    assert table.bits == expected
    assert (WIDTH_DIFFERS in table.notes) == (expected != bits)


def test_a_first_value_without_its_sign() -> None:
    data = lut_data(RISING.tolist(), "US")
    assert read_lookup_table([256, 65436, 12], data, True, (-1024, 3071)).first == -100
    assert read_lookup_table([256, 65436, 12], data, True, (-1024, 3071)).notes == (SIGN_DIFFERS,)
    assert read_lookup_table([256, 65436, 12], data, True, (0, 65535)).first == 65436


def test_values_outside_and_between() -> None:
    table = LookupTable(np.array([7, 8, 9]), first=-1, bits=8)
    np.testing.assert_array_equal(table(np.array([-99, -1, 0, 1, 2, 99])), [7, 7, 8, 9, 9, 9])
    np.testing.assert_array_equal(table(np.array([-1.5, -0.5, 0.99, np.inf])), [7, 7, 8, 9])
    wide = LookupTable(np.arange(4096) // 16, first=0, bits=8)
    assert wide(np.array([4095], dtype=np.int16)).tolist() == [255]  # more entries than a byte counts


@given(st.integers(-3000, 3000), st.integers(2, 500), st.sampled_from([8, 10, 12, 16]), st.integers(0, 2**31))
def test_as_pydicom_looks_up(first: int, count: int, bits: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    entries = draw.integers(0, 2**bits, count)
    entries[0] = 2**bits - 1
    values = draw.integers(-4000, 4000, (9, 9)).astype(np.int32)
    item, dataset = Dataset(), Dataset()
    item.add_new("LUTDescriptor", "SS", [count, first, bits])
    item.add_new("LUTData", "US", entries.tolist())
    dataset.VOILUTSequence = dataset.ModalityLUTSequence = [item]
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    table = read_lookup_table(item.LUTDescriptor, item["LUTData"], True)
    if bits > 8:  # pydicom counts the entries of narrower tables in bytes
        np.testing.assert_array_equal(table(values), apply_voi_lut(values, dataset))
    if bits in (8, 16):  # pydicom knows no other modality tables
        np.testing.assert_array_equal(table(values), apply_modality_lut(values, dataset))
    assert table.highest == 2**bits - 1


@pytest.mark.parametrize("descriptor", [None, [1, 2], "abc", 5])
def test_descriptors_that_cannot_be_read(descriptor: object) -> None:
    with pytest.raises(DataError, match="LUT Descriptor: expected three numbers, got"):
        read_lookup_table(descriptor, lut_data([1], "US"), True)


@pytest.mark.parametrize("data", [lut_data(b"", "OW"), lut_data([], "US")])
def test_tables_without_entries(data: DataElement) -> None:
    with pytest.raises(DataError, match="LUT Data holds no entries"):
        read_lookup_table([2, 0, 8], data, True)
