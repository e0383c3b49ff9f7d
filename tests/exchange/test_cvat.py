from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelmine.errors import DataError
from labelmine.exchange.cvat import (
    decode_cvat_xml,
    decode_rle,
    encode_cvat_xml,
    encode_rle,
    image_element,
    read_labelmap,
)


def drawn(shape: str) -> bytes:
    image = f'<image id="0" name="a.png" width="10" height="8">{shape}</image>'
    return f"<annotations><version>1.1</version>{image}</annotations>".encode()


@given(mask=arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_runs_against_a_slow_loop(mask: Any) -> None:
    assume(mask.any())
    (left, top, width, height), runs = encode_rle(mask)
    slow, value, place = np.zeros_like(mask), False, 0
    for run in runs:  # as CVAT does: background first, row by row in the box
        for _ in range(run):
            slow[top + place // width, left + place % width] = value
            place += 1
        value = not value
    assert (slow == mask).all()
    assert (decode_rle(runs, width, height) == mask[top : top + height, left : left + width]).all()
    assert min(runs[1:], default=1) > 0


@given(mask=arrays(bool, st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 9))))
def test_round_trip_with_overlap(mask: Any) -> None:
    content = encode_cvat_xml([image_element("benign (1).png", mask, ["a<b", "c"], 0)], ["a<b", "c"])
    size, found = decode_cvat_xml(content)["benign (1).png"]
    assert size == mask.shape[1:]
    for name, channel in zip(["a<b", "c"], mask, strict=True):
        assert (found.get(name, np.zeros(size, bool)) == channel).all()


def test_content_is_what_cvat_imports() -> None:
    mask = np.zeros((1, 4, 5), dtype=bool)
    mask[0, 1, 2:4] = mask[0, 2, 3] = True
    root = ElementTree.fromstring(encode_cvat_xml([image_element("x.png", mask, ["lesion"], 0)], ["lesion", "scar"]))
    assert root.findtext("version") == "1.1"
    assert [child.tag for child in root] == ["version", "meta", "image"]
    assert root.findtext("meta/task/size") == "1"
    assert [label.findtext("name") for label in root.iterfind("meta/task/labels/label")] == ["lesion", "scar"]
    image = root.find("image")
    assert image is not None
    assert image.attrib == {"id": "0", "name": "x.png", "width": "5", "height": "4"}
    assert image[0].attrib == {
        "label": "lesion", "source": "auto", "occluded": "0", "rle": "0, 2, 1, 1", "left": "2", "top": "1",
        "width": "2", "height": "2", "z_order": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon label="l" points="2.00,1.00;6.00,1.00;6.00,4.00;2.00,4.00" z_order="0"/>',
        '<box label="l" xtl="2.0" ytl="1.0" xbr="6.0" ybr="4.0" z_order="0"/>',
        '<mask label="l" rle="0, 12" left="2" top="1" width="4" height="3" z_order="0"/>',
        '<tag label="other"/><mask label="l" rle="0, 6, 6" left="2" top="1" width="4" height="3"/>'
        '<mask label="l" rle="6, 6" left="2" top="1" width="4" height="3"/>',
    ],
)
def test_shapes_are_filled(shape: str) -> None:
    _, masks = decode_cvat_xml(drawn(shape))["a.png"]
    expected = np.zeros((8, 10), dtype=bool)
    expected[1:4, 2:6] = True
    assert list(masks) == ["l"]
    assert (masks["l"] == expected).all()


def test_an_ellipse_is_filled() -> None:
    _, masks = decode_cvat_xml(drawn('<ellipse label="l" cx="5" cy="4" rx="3" ry="2"/>'))["a.png"]
    rows, columns = np.mgrid[:8, :10] + 0.5
    assert (masks["l"] == (((columns - 5) / 3) ** 2 + ((rows - 4) / 2) ** 2 < 1)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<annotations", 'cannot be read as "CVAT for images 1.1"'),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><annotations/>", "declares XML entities"),
        (b"<html/>", "expected annotations of pictures"),
        (b"<annotations><track/></annotations>", "expected annotations of pictures"),
        (drawn('<mask label="l" rle="1, 2" left="0" top="0" width="4" height="3"/>'), "has runs of 3 pixels in all"),
        (drawn('<mask label="l" rle="0, 12" left="8" top="0" width="4" height="3"/>'), "reaches out of its picture"),
        (drawn('<mask label="l" rle="0, x" left="8" top="0" width="4" height="3"/>'), "export the task again"),
        (drawn('<polyline label="l" points="1,1;2,2"/>'), "a.png: a polyline has no inside"),
        (drawn('<box label="l" xtl="0" ytl="0" xbr="2" ybr="2" rotation="30.0"/>'), "turned by 30.0 degrees"),
    ],
)
def test_what_cannot_be_read(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_cvat_xml(content)


def test_labelmap(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nlesion:250,50,83::\n\n")
    assert read_labelmap(path) == {"lesion": (250, 50, 83)}
    path.write_text("lesion\n")
    with pytest.raises(DataError, match=r"labelmap.txt: expected lines `label:r,g,b::`, got 'lesion'"):
        read_labelmap(path)
    with pytest.raises(DataError, match="missing beside SegmentationClass/"):
        read_labelmap(tmp_path / "none.txt")
