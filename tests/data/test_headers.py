from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from labelmine.data import Item, read_image
from labelmine.data.headers import (
    Header,
    file_kind,
    patient_groups,
    pixel_spacing,
    read_header,
    slice_index,
    without_suffix,
)
from labelmine.errors import DataError
from makers import dicom_file


def write_nifti(path: Path, shape: tuple[int, ...]) -> Path:
    nib.save(nib.Nifti1Image(np.zeros(shape, dtype=np.uint8), np.eye(4)), path)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "stem"),
    [
        ("a.png", "picture", "a"),
        ("A.JPEG", "picture", "A"),
        ("scan.v2.tif", "picture", "scan.v2"),
        ("v.nii.gz", "nifti", "v"),
        ("v.NII", "nifti", "v"),
        ("x.dcm", "dicom", "x"),
        ("roles.csv", None, "roles.csv"),
        ("notes", None, "notes"),
    ],
)
def test_kind_and_stem(name, kind, stem):
    assert file_kind(Path(name)) == kind
    assert without_suffix(Path("p") / name) == Path("p") / stem


def test_dicom_without_suffix_is_found_by_its_prefix(tmp_path):
    for name in ("1.2.840.113619", "IM0001"):
        (tmp_path / name).write_bytes(dicom_file("CT_small.dcm").read_bytes())
        assert file_kind(tmp_path / name) == "dicom"
        assert without_suffix(tmp_path / name).name == name
    (tmp_path / "DICOMDIR").write_bytes(dicom_file("CT_small.dcm").read_bytes())
    assert file_kind(tmp_path / "DICOMDIR") is None


@pytest.mark.parametrize(
    ("shape", "axis", "frames"),
    [((4, 5, 6), -1, 6), ((4, 5, 6), 0, 4), ((4, 5), -1, None), ((4, 5, 1), -1, None), ((4, 5, 6, 1), -1, 6)],
)
def test_nifti_frames(tmp_path, shape, axis, frames):
    assert read_header(write_nifti(tmp_path / "v.nii.gz", shape), axis).frames == frames


@pytest.mark.parametrize(
    ("shape", "axis", "message"),
    [((4, 5, 6, 7), -1, "expected 2 dimensions"), ((4, 5, 6), 3, "slice_axis: expected -3 to 2, got 3")],
)
def test_nifti_that_cannot_be_cut(tmp_path, shape, axis, message):
    with pytest.raises(DataError, match=message):
        read_header(write_nifti(tmp_path / "v.nii.gz", shape), axis)


def test_dicom_frames_and_owner():
    clip, still = read_header(dicom_file("examples_ybr_color.dcm")), read_header(dicom_file("CT_small.dcm"))
    assert clip.frames == 30
    assert still.frames is None
    assert still.patient
    assert still.study


@pytest.mark.parametrize("name", ["liver_1frame.dcm", "rtstruct.dcm"])
def test_masks_of_other_images_are_no_image(name: str) -> None:
    assert read_header(dicom_file(name)).is_gold
    assert not read_header(dicom_file("CT_small.dcm")).is_gold


def test_place_of_a_dicom_slice() -> None:
    header = read_header(dicom_file("CT_small.dcm"))
    assert header.depth == pytest.approx(-75.7)
    assert header.series
    assert read_header(dicom_file("examples_rgb_color.dcm")).depth is None


@pytest.mark.parametrize("name", ["x.dcm", "x.nii.gz", "x.nii"])
def test_damaged_headers(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"file is empty \(0 bytes\)"):
        read_header(path)
    path.write_text("not an image")
    with pytest.raises(DataError, match="header cannot be read"):
        read_header(path)


@given(st.permutations([3, 4, 5, 1]), st.integers(-3, 2))
def test_slice_index_tiles_the_volume(shape, axis):
    rebuilt = np.zeros(shape, dtype=int)
    volume = np.arange(rebuilt.size).reshape(shape)
    depth = [length for length in shape if length > 1][axis]
    for frame in range(depth):
        index = slice_index(shape, frame, axis)
        assert volume[index].ndim == 2
        rebuilt[index] = volume[index]
    np.testing.assert_array_equal(rebuilt, volume)


def test_slice_index_errors():
    with pytest.raises(DataError, match=r"slice 6 lies outside axis 2 of shape \(4, 5, 6\)"):
        slice_index((4, 5, 6), 6)
    with pytest.raises(DataError, match="expected 3 dimensions"):
        slice_index((4, 5), 0)
    with pytest.raises(DataError, match="expected 2 dimensions"):
        slice_index((4, 5, 6), None)


def test_patient_groups():
    names = ["a", "b", "c", "d"]
    headers = [Header(patient="1", study="s"), Header(patient="2", study="t"), Header(patient="1", study="u"), Header()]
    assert patient_groups(names, headers) == ["a", "b", "a", "d"]
    placeholder = [Header(patient="ANON", study=study) for study in ("s", "t", "s", "u")]
    assert patient_groups(names, placeholder) == ["a", "b", "a", "d"]
    one_exam = [Header(patient="1", study="s")] * 4
    assert patient_groups(names, one_exam) == ["a"] * 4


def item_of(path: Path, frame: int | None = None) -> Item:
    item = Item(id=path.stem, image=str(path), group=path.stem)
    return item if frame is None else Item({**item, "frame": frame})


def write_dicom(path: Path, name: str = "CT_small.dcm", **attributes: Any) -> Path:
    """Copy of a test file without its spacing, and with these attributes."""
    dataset = pydicom.dcmread(dicom_file(name))
    for key in ("PixelSpacing", "ImagerPixelSpacing"):
        dataset.pop(key, None)
    for key, value in attributes.items():
        setattr(dataset, key, value)
    dataset.save_as(path)
    return path


def measures(row: float, column: float) -> Dataset:
    """Functional group with a Pixel Measures macro, PS3.3 C.7.6.16.2.1."""
    inner, group = Dataset(), Dataset()
    inner.PixelSpacing = [row, column]
    group.PixelMeasuresSequence = [inner]
    return group


@pytest.mark.parametrize(("axis", "sides"), [(0, (1, 2)), (1, (0, 2)), (2, (0, 1)), (-1, (0, 1)), (-3, (1, 2))])
def test_spacing_of_a_slice_follows_the_axes_of_its_pixels(tmp_path: Path, axis: int, sides: tuple[int, int]) -> None:
    sizes = np.array([0.5, 1.25, 3.0])
    turn = Rotation.from_euler("xyz", [10, -20, 30], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(sizes * [-1, 1, 1])  # oblique, and stored right to left
    path = tmp_path / "v.nii.gz"
    volume = np.zeros((4, 5, 6), dtype=np.float32)
    nib.save(nib.Nifti1Image(volume, affine), path)
    item = item_of(path, 2)
    assert read_image(item, slice_axis=axis).shape[:2] == tuple(volume.shape[side] for side in sides)
    assert pixel_spacing(item, axis) == pytest.approx(tuple(sizes[side] for side in sides), rel=1e-5)


def test_a_bright_line_is_as_long_as_its_spacing_says(tmp_path: Path) -> None:
    """An object of known size, measured in the pixels that are read."""
    volume = np.zeros((20, 30, 3), dtype=np.float32)
    volume[5:15, 7, 1] = 1  # 10 voxels of 0.4 mm along the first axis
    path = tmp_path / "v.nii"
    nib.save(nib.Nifti1Image(volume, np.diag([0.4, 2.0, 5.0, 1.0])), path)
    item = item_of(path, 1)
    rows, columns = np.nonzero(read_image(item)[..., 0] > 0.5)
    row, column = pixel_spacing(item) or (0, 0)
    assert (np.ptp(rows) + 1) * row == pytest.approx(4.0)
    assert (np.ptp(columns) + 1) * column == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("shape", "frame", "expected"),
    [
        ((4, 5), None, (0.5, 2.0)),
        ((4, 5, 1), None, (0.5, 2.0)),
        ((1, 4, 5), None, (2.0, 3.0)),
        ((4, 1, 1, 6), None, None),
    ],
)
def test_spacing_of_flat_nifti(tmp_path: Path, shape: tuple[int, ...], frame: None, expected: object) -> None:
    nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), np.diag([0.5, 2.0, 3.0, 1.0])), tmp_path / "v.nii")
    assert pixel_spacing(item_of(tmp_path / "v.nii", frame)) == expected


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("micron", 0.001), ("meter", 1000), ("unknown", 1)])
def test_units_of_nifti(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5), np.uint8), np.diag([2.0, 3.0, 1.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "v.nii")
    assert pixel_spacing(item_of(tmp_path / "v.nii")) == pytest.approx((2 * factor, 3 * factor))


def test_spacing_of_dicom(tmp_path: Path) -> None:
    assert pixel_spacing(item_of(dicom_file("CT_small.dcm"))) == pytest.approx((0.661468, 0.661468))
    path = write_dicom(tmp_path / "x.dcm", PixelSpacing=[0.3, 0.25], ImagerPixelSpacing=[0.4, 0.4])
    assert pixel_spacing(item_of(path)) == (0.3, 0.25)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ImagerPixelSpacing": [0.2, 0.2]},
        {"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.2, 0.3]},
        {"PixelSpacing": [0.2, 0.3], "NominalScannedPixelSpacing": [0.2, 0.3]},
        {"PixelSpacing": [0, 0.3]},
        {"PixelSpacing": [0.3]},
        {"PixelSpacing": ""},
    ],
)
def test_what_is_no_distance_in_the_patient_counts_as_unknown(tmp_path: Path, attributes: dict[str, Any]) -> None:
    assert pixel_spacing(item_of(write_dicom(tmp_path / "x.dcm", **attributes))) is None


def test_spacing_that_is_no_number_counts_as_unknown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_dicom(tmp_path / "x.dcm", PixelSpacing=[0.661, 0.663])
    data = path.read_bytes()
    assert data.count(b"0.661\\0.663") == 1
    path.write_bytes(data.replace(b"0.661\\0.663", b"a.bcd\\0.663"))
    assert pixel_spacing(item_of(path)) is None
    assert "DICOM attribute PixelSpacing holds no numbers; taken as unknown" in caplog.text


def test_spacing_of_enhanced_dicom_is_that_of_the_frame(tmp_path: Path) -> None:
    shared = write_dicom(tmp_path / "s.dcm", SharedFunctionalGroupsSequence=[measures(0.5, 0.6)])
    assert pixel_spacing(item_of(shared, 1)) == (0.5, 0.6)
    each = [measures(0.5, 0.6), measures(0.7, 0.8)]
    own = write_dicom(tmp_path / "o.dcm", PerFrameFunctionalGroupsSequence=each)
    assert [pixel_spacing(item_of(own, frame)) for frame in (0, 1)] == [(0.5, 0.6), (0.7, 0.8)]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_pictures_have_no_spacing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, dpi=(72, 72))
    assert pixel_spacing(item_of(path)) is None


def test_spacing_of_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "v.nii.gz"
    with pytest.raises(DataError, match=r"v\.nii\.gz: file does not exist"):
        pixel_spacing(item_of(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"v\.nii\.gz: file is empty \(0 bytes\)"):
        pixel_spacing(item_of(path))
    write_nifti(path, (4, 5, 6))
    with pytest.raises(DataError, match=r"v\.nii\.gz: slice 9 lies outside axis 2"):
        pixel_spacing(item_of(path, 9))


@pytest.mark.shared
def test_spacing_of_real_volumes(shared_data: Path) -> None:
    for path in sorted((shared_data / "hippocampus" / "images").glob("*.nii.gz")):
        for axis in range(3):
            zooms = [float(size) for size in nib.load(path).header.get_zooms()]
            del zooms[axis]
            assert pixel_spacing(item_of(path, 3), axis) == pytest.approx(tuple(zooms), rel=1e-5)
