from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from labelmine.data import Item, read_image
from labelmine.data.dicom import display_assumptions, read_dicom
from labelmine.data.dicom_files import NO_META, is_dicom_file, names_its_syntax, open_dicom
from labelmine.data.headers import file_kind, read_header
from labelmine.errors import DataError
from makers import dicom_file

RAMP = np.tile(np.arange(0, 4096, 64, dtype=np.uint16), (8, 1))


def without_preamble(path: Path, meta: bool = False) -> Path:
    """The same file as it comes out of old networks: without the first 132 bytes, and without its meta header."""
    content = path.read_bytes()
    dataset = pydicom.dcmread(path)
    start = 132 if meta else 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    bare = path.with_suffix("")
    bare.write_bytes(content[start:])
    return bare


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("meta", [False, True])
def test_without_preamble_and_suffix(make_dicom: Any, syntax: str, meta: bool) -> None:
    whole = make_dicom(RAMP, name="IM000001.dcm", syntax=syntax, bits=12, PatientID="p")
    bare = without_preamble(whole, meta)
    assert is_dicom_file(bare)
    assert file_kind(bare) == "dicom"
    assert read_header(bare).patient == "p"
    np.testing.assert_array_equal(read_dicom(bare), read_dicom(whole))
    assert names_its_syntax(bare) == meta
    assert display_assumptions(bare) == ([] if meta else [NO_META])
    assert open_dicom(bare).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("name", ["rtstruct.dcm", "ExplVR_LitEndNoMeta.dcm", "ExplVR_BigEndNoMeta.dcm"])
def test_real_files_without_preamble(name: str) -> None:
    assert is_dicom_file(dicom_file(name))


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"plain text of a readme file, longer than eight bytes", b"\x08\x00" + bytes(200),
     b"\x02\x00\x10\x00" + b"\xff" * 300, b"\x00\x08" + b"1" * 300, bytes(128) + b"DICK" + bytes(9)],
)  # fmt: skip
def test_other_content_is_no_dicom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "IM0001"
    path.write_bytes(content)
    assert not is_dicom_file(path)
    assert file_kind(path) is None
    with pytest.raises(InvalidDicomError, match="content is no DICOM"):
        open_dicom(path)


def test_compressed_pixels_without_meta_header(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(dicom_file("MR_small_jp2klossless.dcm").read_bytes())
    bare = without_preamble(path)
    with pytest.raises(DataError, match=r"x: compressed pixels, and no meta header that names the transfer syntax"):
        read_image(Item(id="x", image=str(bare), group="x"))


def test_number_of_frames_that_is_none() -> None:
    with pytest.raises(DataError, match=r"NumberOfFrames: expected a number .*'1A'.*correct it"):
        read_header(dicom_file("badVR.dcm"))
