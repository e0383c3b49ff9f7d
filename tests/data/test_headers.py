from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from labelmine.data.headers import Header, file_kind, patient_groups, read_header, slice_index, without_suffix
from labelmine.errors import DataError


def dicom_file(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


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


def test_dicom_segmentation_is_no_image():
    with pytest.raises(DataError, match=r"a DICOM segmentation \(SEG\) is no image"):
        read_header(dicom_file("liver_1frame.dcm"))


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
