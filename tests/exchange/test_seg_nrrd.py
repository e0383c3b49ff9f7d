from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelmine.errors import DataError
from labelmine.exchange.seg_nrrd import decode_seg_nrrd, encode_seg_nrrd


def saved_by_slicer(
    marks: Any, corner: tuple[int, int] = (0, 0), space: str = "left-posterior-superior", **fields: str
) -> bytes:
    """A file as Slicer 5 writes it: cropped to what is marked, more fields than needed."""
    height, width = marks.shape
    sign = 1 if space.startswith("left") else -1
    header = {
        "type": "unsigned char", "dimension": "3", "space": space, "sizes": f"{width} {height} 1",
        "space directions": f"({sign},0,0) (0,{sign},0) (0,0,1)", "kinds": "domain domain domain", "encoding": "gzip",
        "space origin": f"({sign * corner[0]},{sign * corner[1]},0)", **fields,
    }  # fmt: skip
    lines = ["NRRD0004", "# Complete NRRD file format specification at:", *(f"{k}: {v}" for k, v in header.items())]
    lines += ["Segment0_Name:=lesion: left", "Segment0_LabelValue:=3", "Segment0_Layer:=0", "Segment0_ID:=Segment_1"]
    data = marks.astype(np.uint8).tobytes()  # rows of x
    return ("\n".join(lines) + "\n\n").encode() + (gzip.compress(data) if header["encoding"] == "gzip" else data)


@given(mask=arrays(bool, st.tuples(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9))))
def test_round_trip_with_and_without_overlap(mask: Any) -> None:
    names = ["a", "b", "c"][: len(mask)]
    found = decode_seg_nrrd(encode_seg_nrrd(mask, names), mask.shape[1:])
    assert list(found) == names
    assert (np.stack(list(found.values())) == mask).all()


def test_content_by_hand() -> None:
    mask = np.zeros((2, 3, 4), dtype=bool)
    mask[0, 0, 3] = mask[1, 2, 1] = True
    head, _, data = encode_seg_nrrd(mask, ["liver", "spleen"]).partition(b"\n\n")
    lines = head.decode().splitlines()
    assert lines[0] == "NRRD0005"
    assert {"sizes: 4 3 1", "space: left-posterior-superior", "Segment1_LabelValue:=2", "Segment1_Name:=spleen"} <= set(
        lines
    )
    values = gzip.decompress(data)
    assert len(values) == 12
    assert (values[0 * 4 + 3], values[2 * 4 + 1], sum(values)) == (1, 2, 3)  # x runs fastest


def test_another_reader_agrees(tmp_path: Any) -> None:
    nrrd = pytest.importorskip("nrrd")
    mask = np.random.default_rng(0).random((2, 7, 5)) > 0.6
    for name, own in {"one": mask[:1], "overlapping": mask}.items():
        path = tmp_path / f"{name}.seg.nrrd"
        path.write_bytes(encode_seg_nrrd(own, ["liver", "spleen"][: len(own)]))
        array, header = nrrd.read(str(path))
        assert header["Segment0_Name"] == "liver"
        layers = array if array.ndim == 4 else array[None]
        assert ((layers[..., 0].transpose(0, 2, 1) > 0) == own).all()


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def test_a_cropped_file_is_put_in_its_place(space: str, encoding: str) -> None:
    marks = np.array([[3, 3], [0, 3], [0, 0]])
    found = decode_seg_nrrd(saved_by_slicer(marks, (4, 2), space, encoding=encoding), (10, 8))
    expected = np.zeros((10, 8), dtype=bool)
    expected[2:5, 4:6] = marks == 3
    assert (found["lesion: left"] == expected).all()


def test_nothing_marked_is_one_voxel_anywhere() -> None:
    content = saved_by_slicer(np.zeros((1, 1)), (77, -3))
    assert not decode_seg_nrrd(content, (4, 4))["lesion: left"].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", "is no NRRD file"),
        (saved_by_slicer(np.ones((2, 2)), type="float"), "NRRD data cannot be read"),
        (saved_by_slicer(np.ones((2, 2)), encoding="bzip2"), "encoding bzip2"),
        (saved_by_slicer(np.ones((2, 2)), sizes="9 9 1"), "NRRD data cannot be read"),
        (saved_by_slicer(np.ones((2, 2)), sizes="1 2 2"), "expected one slice, got sizes"),
        (saved_by_slicer(np.full((2, 2), 3), (7, 0)), "marks pixels outside of its picture of 8 x 10"),
        (
            saved_by_slicer(np.ones((2, 2)), **{"space directions": "(0.5,0,0) (0,1,0) (0,0,1)"}),
            "its pixels do not lie on the picture's; in Slicer",
        ),
        (saved_by_slicer(np.ones((2, 2))).replace(b"Segment0_Layer:=0", b"Segment0_Layer:=2"), "lies in layer 2"),
        (saved_by_slicer(np.ones((2, 2))).replace(b"Segment0_", b"Part0_"), "holds no segment"),
    ],
)
def test_what_cannot_be_read(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_seg_nrrd(content, (10, 8))
