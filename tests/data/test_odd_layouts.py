"""Folders as public sets and other tools leave them: ``../shared/inputs/make_odd_inputs.py`` makes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelmine.data import ClassMap, SetAside, find_items, prepare_image_set, read_label
from labelmine.data.findings import Findings
from labelmine.errors import DataError

MAKER = Path(__file__).resolve().parents[3] / "shared" / "inputs" / "make_odd_inputs.py"
BLOB = np.zeros((64, 64), dtype=bool)
BLOB[20:44, 16:52] = True

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MAKER.is_file():
        pytest.skip("odd inputs (../shared/inputs beside the checkout) are not there")
    folder = tmp_path_factory.mktemp("odd")
    cases = ["masks_elsewhere", "unread_formats", "name_in_bytes", "nan_in_affine", "names_like_patterns"]
    subprocess.run([sys.executable, str(MAKER), str(folder), *cases], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    ("layout", "pattern"),
    [
        ("image + mask", "mask/{id}.png"),
        ("imagesTr + labelsTr", "labelsTr/{id}.png"),
        ("Original + Ground Truth", "Ground Truth/{id}.png"),
        ("images + gt", "gt/{id}.png"),
        ("beside", "{id}_mask*.png"),
        ("suffix", "masks/{id}_segmentation.png"),
    ],
)
def test_masks_elsewhere(odd: Path, layout: str, pattern: str) -> None:
    findings, rows = Findings(), []
    items = find_items(odd / "masks_elsewhere" / layout, set_aside=rows, findings=findings)
    assert len(items) == 3
    assert not rows
    assert findings.rows()[0].sentence == f"masks were paired with images by '{pattern}'"
    for item in items:
        second = np.roll(BLOB, 12, axis=0) if item["id"] == "benign/benign (0)" else False
        np.testing.assert_array_equal(read_label(item, item["label"], ClassMap())[0], BLOB | second)


def test_unread_formats(odd: Path) -> None:
    folder, rows, findings = odd / "unread_formats", list[SetAside](), Findings()
    for item in find_items(folder, set_aside=rows):
        np.testing.assert_array_equal(read_label(item, item["label"], ClassMap())[0], BLOB)
    assert [row.reason[:37] for row in rows] == ["a listing with a column `image`: give"]
    assert [Path(item["label"]).name for item in find_items(folder / "listing.csv", findings=findings)] == [
        "0.gif", "1.gif", "2.gif",
    ]  # fmt: skip
    assert str(findings.rows()[0]) == "the column `mask` of listing.csv was read as the masks' (`label`)"


def test_name_in_bytes(odd: Path) -> None:
    if len(os.listdir(os.fsencode(odd / "name_in_bytes" / "images"))) < 2:
        pytest.skip("the file system takes UTF-8 alone")
    rows: list[SetAside] = []
    assert [item["id"] for item in find_items(odd / "name_in_bytes", set_aside=rows)] == ["plain"]
    assert [(row.path, row.reason[:12]) for row in rows] == [("images/caf\\udce9.png", "its name, or")]


def test_nan_in_affine(odd: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its affine has no inverse or holds no numbers"):
        prepare_image_set(str(odd / "nan_in_affine"), str(tmp_path / "out"))


def test_names_like_patterns(odd: Path) -> None:
    items = find_items(odd / "names_like_patterns")
    assert [Path(item["label"]).stem for item in items] == [item["id"] for item in items]
    assert len(items) == 4
