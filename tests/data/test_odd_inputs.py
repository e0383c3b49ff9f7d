"""What ../shared/inputs makes: each case comes out as its README says."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelmine.data import CheckedItems, check_items, find_items, read_label
from labelmine.errors import ConfigError, DataError

pytestmark = pytest.mark.shared

BLOB = np.zeros((64, 64), dtype=np.uint8)
BLOB[20:44, 16:52] = 1


@pytest.fixture
def odd(tmp_path: Path) -> Callable[[str], Path]:
    """Maker of one case; skips where the script is not there."""
    script = Path(__file__).resolve().parents[2].parent / "shared" / "inputs" / "make_odd_inputs.py"
    if not script.is_file():
        pytest.skip("the maker of odd inputs (../shared/inputs beside the checkout) is not there")
    spec = importlib.util.spec_from_file_location("make_odd_inputs", script)
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)

    def make(case: str) -> Path:
        maker.main(str(tmp_path), case)
        return tmp_path / case

    return make


def checked_set(folder: Path, **options: object) -> CheckedItems:
    return check_items(find_items(folder), folder / "quarantine.csv", **options)


def labels(checked: CheckedItems) -> dict[str, np.ndarray]:
    return {item["id"]: read_label(item, item["label"], checked.classes) for item in checked.items}


def said(checked: CheckedItems) -> str:
    return " | ".join(map(str, checked.findings))


def test_grey_edges(odd):
    checked = checked_set(odd("grey_edges"))
    assert "cut halfway, at 127.5, of 0 and 255" in said(checked)
    assert [abs(mask.sum() / BLOB.sum() - 1) < 0.03 for mask in labels(checked).values()] == [True] * 4


def test_suffix_lies(odd):
    checked = checked_set(odd("suffix_lies"))
    masks = labels(checked)
    assert checked.classes.values == (1, 2)
    assert masks["0"].sum(axis=(1, 2)).tolist() == [15 * 15, 30 * 30]
    assert not masks["2"].any()
    assert [(row.id, row.reason) for row in checked.set_aside] == [
        ("1", "1.png: JPEG changes class values and colours; save class maps as PNG")
    ]


def test_levels_with_gaps(odd):
    folder = odd("levels_with_gaps")
    line = '--classes "{class_50: 50, class_255: 255}" keeps them apart'
    with pytest.raises(ConfigError, match=r"2 levels besides 0.*: 50 \(in 4 masks\), 255 \(in 4 masks\)") as caught:
        checked_set(folder)
    assert line in str(caught.value)
    apart = labels(checked_set(folder, classes={"class_50": 50, "class_255": 255}))
    assert apart["0"].sum(axis=(1, 2)).tolist() == [200, BLOB.sum() - 200]


def test_mirrored_volume(odd):
    checked = checked_set(odd("mirrored_volume"))
    assert "were turned onto it by their affine" in said(checked)
    truth = np.zeros((20, 20))
    truth[2:6, 3:9] = 1
    for mask in labels(checked).values():
        np.testing.assert_array_equal(mask[0], truth)


def test_nifti_with_picture_mask(odd):
    with pytest.raises(DataError, match=r"a.png: mask is a picture \(rows first\), its image NIfTI \(x first\)"):
        checked_set(odd("nifti_with_picture_mask"))


def test_rounded_labels(odd):
    checked = checked_set(odd("rounded_labels"))
    assert checked.classes.values == (1, 2, 3)
    assert "were taken as their integers" in said(checked)
    assert [mask.any(axis=(1, 2)).tolist() for mask in labels(checked).values()] == [
        [number == value for value in (1, 2, 3)] for number in range(4)
    ]
