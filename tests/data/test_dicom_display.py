from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi_lut,
    apply_windowing,
    convert_color_space,
    pixel_array,
)
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from labelmine.data import Item, read_image
from labelmine.data.dicom import ASSUMED_GREY, ASSUMED_RGB, display_assumptions, read_dicom
from labelmine.data.dicom_display import FUNCTION, RESCALE, SECOND_WINDOW, TABLE, WINDOW
from labelmine.data.dicom_files import NO_META
from labelmine.data.lookup_tables import COUNT_DIFFERS, SIGN_DIFFERS, WIDTH_DIFFERS
from labelmine.errors import DataError

RAMP = np.tile(np.arange(0, 4096, 64, dtype=np.uint16), (8, 1))  # 12 bits


def percentiles(values: NDArray[Any], of: NDArray[Any] | None = None) -> NDArray[Any]:
    low, high = np.percentile(values if of is None else of, (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32)


def lut(entries: Any, first: int = 0, bits: int = 12, vr: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", vr, entries.astype("<u2").tobytes() if vr == "OW" else [int(value) for value in entries])
    return item


# --- every readable file of pydicom's collections ---


def collections() -> list[Path]:
    folders = [Path(pydicom.__file__).parent / "data"]
    if extra := get_testdata_file("mlut_18.dcm", download=False):  # of pydicom-data, a package of its own
        folders.append(Path(extra).parent)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.suffix not in (".py", ".pyc", ".json", ".md", ".txt", ".gz", ".icc"))


def as_pydicom_shows(path: Path) -> NDArray[Any] | None:
    """First frame in [0, 1] by pydicom's functions alone; None: pydicom reads no pixels of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            is_cut_short = "too_short" in path.name
            dataset = pydicom.dcmread(path, force=True, stop_before_pixels=is_cut_short)
            dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
            pixels = pixel_array(path if is_cut_short else dataset, index=0)
        except Exception:
            return None
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            colors = apply_color_lut(pixels, dataset)
            return (colors / (2 ** (8 * colors.dtype.itemsize) - 1)).astype(np.float32)
        if pixels.ndim == 3:
            return (pixels / (2**dataset.BitsStored - 1)).astype(np.float32)
        for group in (*dataset.get("SharedFunctionalGroupsSequence", []),
                      *dataset.get("PerFrameFunctionalGroupsSequence", [])[:1]):  # fmt: skip
            for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for attributes in group.get(name, []):
                    dataset.update(attributes)
        values = apply_modality_lut(pixels, dataset)
        if dataset.get("VOILUTSequence"):
            grey = apply_voi_lut(values, dataset) / (2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1)
        elif "WindowCenter" in dataset:
            low, high = apply_windowing(np.array([-1e9, 1e9]), dataset)
            grey = (apply_windowing(values, dataset) - low) / (high - low)
        elif dataset.BitsStored <= 8:
            grey = pixels / (2**dataset.BitsStored - 1)
        else:
            grey = percentiles(values)
        grey = grey.astype(np.float32)
        return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


@pytest.mark.parametrize("path", collections(), ids=lambda path: path.name)
def test_as_pydicom_shows_its_files(path: Path) -> None:
    expected = as_pydicom_shows(path)
    if expected is None:
        with pytest.raises(DataError, match=re.escape(path.name)):
            read_image(Item(id="a", image=str(path), group="a"))
        return
    if "OBXXXX1A_expb" in path.name:  # pydicom leaves the bytes of a big-endian palette as they lie: nearly black
        expected = as_pydicom_shows(path.with_name(path.name.replace("_expb", "")))
    np.testing.assert_array_equal(read_dicom(path), expected)
    assert display_assumptions(path) in ([], [NO_META])


def test_many_files_were_compared() -> None:
    assert sum(as_pydicom_shows(path) is not None for path in collections()[::7]) >= 10


# --- lookup tables ---


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("vr", ["US", "OW"])
def test_voi_table_in_words(make_dicom: Any, syntax: str, vr: str) -> None:
    path = make_dicom(RAMP, syntax=syntax, bits=12, VOILUTSequence=[lut(np.arange(4096), vr=vr)])
    np.testing.assert_array_equal(read_dicom(path), (RAMP / 4095).astype(np.float32))
    assert display_assumptions(path) == []


def test_voi_table_in_big_endian_words(make_dicom: Any) -> None:
    item = lut(np.arange(4096), vr="OW")
    item.LUTData = np.arange(4096, dtype=">u2").tobytes()
    path = make_dicom(RAMP, syntax=ExplicitVRBigEndian, bits=12, VOILUTSequence=[item])
    np.testing.assert_array_equal(read_dicom(path), (RAMP / 4095).astype(np.float32))


def test_voi_table_after_a_rescale_with_fractions(make_dicom: Any) -> None:
    rescale = {"RescaleSlope": "0.3", "RescaleIntercept": "-100"}
    path = make_dicom(RAMP, bits=12, VOILUTSequence=[lut(np.arange(2048), -100, bits=11)], **rescale)
    expected = np.clip(np.floor(RAMP * 0.3 - 100 + 100), 0, 2047) / 2047
    np.testing.assert_allclose(read_dicom(path), expected, atol=1e-6)


def test_wide_table_of_narrow_entries(make_dicom: Any) -> None:
    """4096 entries of 8 bits, which pydicom cannot look up, and a descriptor of 16 bits."""
    entries = np.arange(4096) // 16
    for bits, notes in ((8, []), (16, [WIDTH_DIFFERS])):
        path = make_dicom(RAMP, bits=12, VOILUTSequence=[lut(entries, bits=bits)])
        np.testing.assert_array_equal(read_dicom(path), (entries[RAMP] / 255).astype(np.float32))
        assert display_assumptions(path) == notes


def test_modality_table_with_signed_first_value(make_dicom: Any) -> None:
    signed = RAMP.astype(np.int16) - 2048
    entries = np.arange(4096)[::-1]
    shown = percentiles(entries[RAMP])
    right = make_dicom(signed, bits=12, ModalityLUTSequence=[lut(entries, -2048)])
    np.testing.assert_array_equal(read_dicom(right), shown)
    assert display_assumptions(right) == []
    item = lut(entries)
    item.add_new("LUTDescriptor", "US", [4096, 63488, 12])
    path = make_dicom(signed, name="b.dcm", bits=12, ModalityLUTSequence=[item])
    np.testing.assert_array_equal(read_dicom(path), shown)
    assert display_assumptions(path) == [SIGN_DIFFERS]


def test_table_with_another_number_of_entries_than_it_says(make_dicom: Any) -> None:
    item = lut(np.arange(4096), vr="OW")
    item.LUTDescriptor = [1024, 0, 12]
    path = make_dicom(RAMP, bits=12, VOILUTSequence=[item])
    np.testing.assert_array_equal(read_dicom(path), (RAMP / 4095).astype(np.float32))
    assert display_assumptions(path) == [COUNT_DIFFERS]


@pytest.mark.parametrize("missing", ["LUTData", "LUTDescriptor"])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_that_lack_a_part_are_passed_over(make_dicom: Any, name: str, missing: str) -> None:
    item = lut(np.arange(4096))
    del item[missing]
    path = make_dicom(RAMP, bits=12, WindowCenter=2048, WindowWidth=4096, **{name: [item]})
    np.testing.assert_allclose(read_dicom(path), np.clip((RAMP - 2047.5) / 4095 + 0.5, 0, 1), atol=1e-6)
    assert display_assumptions(path) == [TABLE]


def palette(entries: NDArray[Any], bits: int) -> dict[str, Any]:
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in zip(("Red", "Green", "Blue"), (entries, entries[::-1], entries // 2), strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), 0, bits]
        tags[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    return tags


@pytest.mark.parametrize(
    ("dtype", "scale", "bits", "notes"),
    [("u1", 1, 8, []), ("<u2", 1, 8, []), ("<u2", 257, 16, []), ("<u2", 256, 16, []), ("<u2", 1, 16, [WIDTH_DIFFERS])],
)
def test_palettes_of_all_widths(make_dicom: Any, dtype: str, scale: int, bits: int, notes: list[str]) -> None:
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    entries = (np.arange(256) * scale).astype(dtype)
    path = make_dicom(indices, **palette(entries, bits))
    highest = 255 if scale == 1 else 65535
    rgb = np.stack([entries, entries[::-1], entries // 2], axis=-1)[indices]
    np.testing.assert_array_equal(read_dicom(path), (rgb / highest).astype(np.float32))
    assert display_assumptions(path) == notes


def test_palette_of_more_than_256_narrow_entries(make_dicom: Any) -> None:
    entries = (np.arange(4096) // 16).astype(np.uint8)
    path = make_dicom(RAMP, bits=12, **palette(entries, 8))
    np.testing.assert_array_equal(read_dicom(path)[..., 0], (entries[RAMP] / 255).astype(np.float32))


def test_palette_without_its_tables_is_named(make_dicom: Any) -> None:
    path = make_dicom(np.zeros((4, 4), np.uint8), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(DataError, match="DICOM tags are missing: RedPaletteColorLookupTableDescriptor, RedPalette"):
        read_dicom(path)


# --- empty and odd display tags ---

WINDOWED = np.clip((RAMP - 2047.5) / 4095 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("tags", "shown", "notes"),
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, percentiles(RAMP), [RESCALE]),
        ({"RescaleSlope": "", "RescaleIntercept": "-1024"}, percentiles(RAMP), [RESCALE]),
        ({"RescaleSlope": "0", "RescaleIntercept": "5"}, percentiles(RAMP), [RESCALE]),
        ({"RescaleSlope": ["1", "2"], "RescaleIntercept": "5"}, percentiles(RAMP), [RESCALE]),
        ({"WindowCenter": 9, "WindowWidth": 0}, percentiles(RAMP), [WINDOW]),
        ({"WindowCenter": 9, "WindowWidth": -5}, percentiles(RAMP), [WINDOW]),
        ({"WindowCenter": 9, "WindowWidth": "0.5"}, percentiles(RAMP), [WINDOW]),
        ({"WindowCenter": None, "WindowWidth": None}, percentiles(RAMP), [WINDOW]),
        ({"WindowCenter": 2048, "WindowWidth": None}, percentiles(RAMP), [WINDOW]),
        ({"WindowWidth": 4096}, percentiles(RAMP), [WINDOW]),
        ({"WindowCenter": [9, 2048], "WindowWidth": [0, 4096]}, WINDOWED, [SECOND_WINDOW]),
        ({"WindowCenter": [2048, 9], "WindowWidth": [4096, 0]}, WINDOWED, []),
        ({"WindowCenter": [2048, 9], "WindowWidth": 4096}, WINDOWED, []),
        ({"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": ""}, WINDOWED, [FUNCTION]),
        ({"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "CUBIC"}, WINDOWED, [FUNCTION]),
        ({"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTSequence": []}, WINDOWED, []),
        ({"PhotometricInterpretation": ""}, percentiles(RAMP), [ASSUMED_GREY]),
        ({"PhotometricInterpretation": "GRAYSCALE"}, percentiles(RAMP), [ASSUMED_GREY]),
        ({"PhotometricInterpretation": ...}, percentiles(RAMP), [ASSUMED_GREY]),
    ],
)  # fmt: skip
def test_empty_and_odd_tags_give_way_to_defaults(
    make_dicom: Any, tags: dict[str, Any], shown: NDArray[Any], notes: list[str]
) -> None:
    path = make_dicom(RAMP, bits=12, **tags)
    np.testing.assert_allclose(read_dicom(path), shown, atol=1e-6)
    assert display_assumptions(path) == notes


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["WindowWidth", "RescaleSlope"])
def test_text_where_numbers_belong(make_dicom: Any, name: str) -> None:
    path = make_dicom(RAMP, bits=12, WindowCenter=2048, WindowWidth="77.77", RescaleSlope="77.77", RescaleIntercept=0)
    content = path.read_bytes()
    start = content.index(
        b"77.77", content.index(b"\x28\x00" + (b"\x51\x10" if name == "WindowWidth" else b"\x53\x10"))
    )
    path.write_bytes(content[:start] + b"wide " + content[start + 5 :])
    assert display_assumptions(path) == [WINDOW if name == "WindowWidth" else RESCALE]
    assert np.ptp(read_dicom(path)) > 0.9


def test_odd_colour_space_of_three_samples(make_dicom: Any) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path = make_dicom(colors, PhotometricInterpretation="")
    np.testing.assert_array_equal(read_dicom(path), (colors / 255).astype(np.float32))
    assert display_assumptions(path) == [ASSUMED_RGB]
    with pytest.raises(DataError, match=r"PhotometricInterpretation: expected one of MONOCHROME1, .* got 'HSV'"):
        read_dicom(make_dicom(colors, PhotometricInterpretation="HSV"))


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("space", ["RGB", "YBR_FULL"])
def test_colour_spaces_and_planes(make_dicom: Any, planar: int, space: str) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path = make_dicom(colors, PhotometricInterpretation=space)
    if planar:
        dataset = pydicom.dcmread(path)
        dataset.PlanarConfiguration = 1
        dataset.PixelData = colors.transpose(2, 0, 1).tobytes()
        dataset.save_as(path)
    expected = colors if space == "RGB" else convert_color_space(colors, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(read_dicom(path), (expected / 255).astype(np.float32))


# --- padding ---


@pytest.mark.parametrize(
    ("dtype", "padding", "tags"),
    [
        (np.uint16, 63536, {"PixelPaddingValue": 63536}),
        (np.int16, -2000, {"PixelPaddingValue": -2000}),
        (np.int16, -2000, {"PixelPaddingValue": -1990, "PixelPaddingRangeLimit": -2010}),
        (np.int16, -2000, {"PixelPaddingValue": -2010, "PixelPaddingRangeLimit": -1990}),
        (np.float32, 1e30, {"FloatPixelPaddingValue": 1e30}),
        (np.float64, -1e300, {"DoubleFloatPixelPaddingValue": -1e300, "DoubleFloatPixelPaddingRangeLimit": -1e299}),
    ],
)
def test_padding_stays_out_of_percentiles(make_dicom: Any, dtype: Any, padding: float, tags: dict[str, Any]) -> None:
    pixels = RAMP.astype(dtype)
    pixels[:, :20] = padding
    inside = pixels[:, 20:]
    grey = read_dicom(make_dicom(pixels, **tags))
    np.testing.assert_allclose(grey[:, 20:], percentiles(inside), atol=1e-5)
    without = read_dicom(make_dicom(pixels, name="without.dcm"))
    assert np.abs(without - grey).max() > 0.1


def test_padding_that_lost_its_sign(make_dicom: Any) -> None:
    pixels = RAMP.astype(np.int16)
    pixels[:, :20] = -2000
    path = make_dicom(pixels, PixelPaddingValue=-2000)
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelPaddingValue", "US", 63536)
    dataset.save_as(path)
    np.testing.assert_allclose(read_dicom(path)[:, 20:], percentiles(pixels[:, 20:]), atol=1e-5)


def test_nothing_but_padding(make_dicom: Any) -> None:
    assert read_dicom(make_dicom(np.full((4, 4), 7, np.uint16), PixelPaddingValue=7)).max() == 0


# --- storage ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_pixels(make_dicom: Any, dtype: Any) -> None:
    pixels = np.random.default_rng(0).normal(0, 1, (16, 16)).astype(dtype)
    pixels[0, 0] = np.nan
    grey = read_dicom(make_dicom(pixels))
    np.testing.assert_allclose(grey.ravel()[1:], percentiles(pixels.ravel()[1:]), atol=1e-5)
    assert grey[0, 0] == 0
    path = make_dicom(pixels, WindowCenter="0", WindowWidth="2", VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(read_dicom(path).ravel()[1:], np.clip(pixels.ravel()[1:] / 2 + 0.5, 0, 1), atol=1e-6)


def test_signed_bytes_are_not_cut_at_0(make_dicom: Any) -> None:
    pixels = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    np.testing.assert_allclose(read_dicom(make_dicom(pixels)), (pixels + 128.0) / 255, atol=1e-6)


def test_overlay_in_the_high_bits(make_dicom: Any) -> None:
    """Overlays of old objects lie in bits that are not stored (PS3.5 8.1.1)."""
    overlaid = RAMP | np.uint16(1 << 12) * (RAMP % 128 == 0)
    path = make_dicom(overlaid, bits=12, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(read_dicom(path), WINDOWED)


def test_fewer_bits_with_sign_than_are_allocated(make_dicom: Any) -> None:
    """Signed values of 12 bits whose unused bits do not repeat the sign."""
    signed = (RAMP.astype(np.int16) - 2048).astype(np.int16)
    path = make_dicom((signed.astype(np.uint16) & 0x0FFF).astype(np.int16), bits=12)
    np.testing.assert_array_equal(read_dicom(path), percentiles(signed))


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_native_syntaxes(make_dicom: Any, syntax: str) -> None:
    path = make_dicom(RAMP, syntax=syntax, bits=12)
    np.testing.assert_array_equal(read_dicom(path), percentiles(RAMP))


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_frames_of_native_syntaxes(make_dicom: Any, syntax: str) -> None:
    path = make_dicom(np.stack([RAMP, RAMP[::-1] // 2]), syntax=syntax, bits=12, NumberOfFrames=2)
    np.testing.assert_array_equal(read_dicom(path, 1), percentiles(RAMP[::-1] // 2))


@pytest.mark.parametrize(
    "name", ["Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation"]
)
def test_missing_tags_are_named(make_dicom: Any, name: str) -> None:
    path = make_dicom(RAMP, **{name: ...})
    for read in (read_dicom, display_assumptions):
        with pytest.raises(DataError, match=f"DICOM tags are missing or empty: {name}; without them"):
            read(path)
