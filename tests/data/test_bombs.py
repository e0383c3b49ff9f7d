"""Files that are small on disk and huge in memory."""

from __future__ import annotations

import gzip
import resource
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from labelmine.data.bombs import inflated, refuse_deflate_bomb, refuse_huge
from labelmine.data.headers import read_header
from labelmine.data.items import Item
from labelmine.data.reading import read_image
from labelmine.data.stored_masks import read_stored_mask
from labelmine.errors import DataError
from labelmine.exchange.cvat import decode_cvat_xml
from labelmine.exchange.seg_nrrd import decode_seg_nrrd

LIMIT = 2**29  # bytes that a refusal may take


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Fail what takes more memory than it had, and a little."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages + LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def item(path: Path) -> Item:
    return Item(id="a", image=str(path), group="a")


def test_a_volume_is_refused_by_its_header(tmp_path: Path) -> None:
    header = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header
    header["dim"][1:4] = 32767
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4 + 2**20)))
    for read in (
        lambda: read_header(path),
        lambda: read_image(Item(**item(path), frame=0)),
        lambda: read_stored_mask(path, 0, -1, False, str(path)),
    ):
        with pytest.raises(DataError, match=r"32767 x 32767 x 32767 values, expected at most 1.07e\+03 million"):
            read()


def picture(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(2**20)))
        + chunk(b"IEND", b"")
    )


def test_a_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(picture(60000, 60000))
    with pytest.raises(DataError, match=r"bomb.png: picture of more than 179 million pixels"):
        read_image(item(tmp_path / "bomb.png"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_a_dicom_plane_is_refused_by_its_header(syntax: pydicom.uid.UID, tmp_path: Path) -> None:
    made = dicom(b"\0" * 100)
    made.file_meta.TransferSyntaxUID = syntax
    made.Rows = made.Columns = 65535
    if syntax.is_compressed:
        made.PixelData = pydicom.encaps.encapsulate([b"\0" * 100])
    made.save_as(tmp_path / "bomb.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match=r"65535 x 65535 values"):
        read_image(item(tmp_path / "bomb.dcm"))


def test_a_deflated_data_set_is_measured_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dicom(bytes(4_000_000))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.Rows = made.Columns = 2000
    made.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert (tmp_path / "a.dcm").stat().st_size < 20_000
    assert read_image(item(tmp_path / "a.dcm")).shape == (2000, 2000, 3)
    small = partial(refuse_deflate_bomb, most=3_000_000)
    monkeypatch.setattr("labelmine.data.dicom_files.refuse_deflate_bomb", small)
    with pytest.raises(DataError, match=r"unpacks to more than"):
        read_image(item(tmp_path / "a.dcm"))


def test_what_is_packed_as_a_whole_is_unpacked_no_further_than_it_may() -> None:
    packed = gzip.compress(bytes(1000))
    assert inflated(packed, 1000, 31) == bytes(1000)
    with pytest.raises(DataError, match="more than the 999 bytes"):
        inflated(packed, 999, 31)
    bomb = zlib.compress(bytes(2**24), 9)[2:]
    with pytest.raises(DataError, match="unpacks to more than"):
        refuse_deflate_bomb([bomb], 2**23)
    refuse_deflate_bomb([bomb], 2**24)


def test_segmentations_of_other_programs_are_bounded() -> None:
    head = "NRRD0004\ntype: unsigned char\ndimension: 3\nsizes: {}\nencoding: gzip\n\n"
    with pytest.raises(DataError, match="100000 x 100000 x 1 values"):
        decode_seg_nrrd(head.format("100000 100000 1").encode() + gzip.compress(b"1"), (2, 2))
    with pytest.raises(DataError, match="holds more than the 4 bytes"):
        decode_seg_nrrd(head.format("2 2 1").encode() + gzip.compress(bytes(2**20)), (2, 2))


def test_annotations_of_cvat_are_bounded() -> None:
    image = '<annotations><image name="a" width="{0}" height="{0}">{1}</image></annotations>'
    with pytest.raises(DataError, match="1000000 x 1000000 values"):
        decode_cvat_xml(image.format(10**6, "").encode())
    mask = f'<mask label="a" left="0" top="0" width="{10**6}" height="{10**6}" rle="{10**12}"/>'
    with pytest.raises(DataError, match="reaches out of its picture"):
        decode_cvat_xml(image.format(10, mask).encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_whatever_encoding(encoding: str) -> None:
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    declared = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY a0 "ha">{laughs}]>'
    text = f"{declared}<annotations>&a9;</annotations>"
    with pytest.raises(DataError, match=r"entities|no UTF-8"):
        decode_cvat_xml(text.encode(encoding))


def test_whatever_fits_is_let_through() -> None:
    refuse_huge((512, 512, 4000))
    with pytest.raises(DataError, match="-1 x 4"):
        refuse_huge((-1, 4))
    assert Image.MAX_IMAGE_PIXELS is not None, "nobody took Pillow's own limit away"


def dicom(pixels: bytes) -> pydicom.Dataset:
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = pixels
    return made
