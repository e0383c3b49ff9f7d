"""Odd DICOM folders of the kind that public reports describe, made beside the checkout."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labelmine.data import find_items, read_image
from labelmine.data.integrity import check_items

pytestmark = pytest.mark.shared
RAMP = np.tile(np.arange(0, 4096, 64), (8, 1))


@pytest.fixture
def odd_input(shared_data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    script = shared_data.parent / "inputs" / "make_odd_inputs.py"
    if not script.is_file():
        pytest.skip("odd inputs (../shared/inputs beside the checkout) are not there")
    subprocess.run([sys.executable, str(script), str(tmp_path), request.param], check=True)
    return tmp_path / str(request.param)


@pytest.mark.parametrize("odd_input", ["lookup_table_as_words"], indirect=True)
def test_lookup_table_as_words(odd_input: Path) -> None:
    (item,) = find_items(odd_input)
    np.testing.assert_allclose(read_image(item)[..., 0], RAMP / 4095, atol=1e-6)


@pytest.mark.parametrize("odd_input", ["empty_display_tags"], indirect=True)
def test_empty_display_tags(odd_input: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        checked = check_items(find_items(odd_input), tmp_path / "quarantine.csv")
    assert [item["id"] for item in checked.items] == ["function", "rescale", "width"]
    low, high = np.percentile(RAMP, (0.5, 99.5))
    by_percentiles = np.clip((RAMP - low) / (high - low), 0, 1)
    for item in checked.items:
        by_window = np.clip((RAMP - 2047.5) / 4095 + 0.5, 0, 1)
        expected = by_window if item["id"] == "function" else by_percentiles
        np.testing.assert_allclose(read_image(item)[..., 0], expected, atol=1e-6)
    for said in ("taken as LINEAR (1: function)", "taken as 1 and 0 (1: rescale)", "passed over (1: width)"):
        assert said in caplog.text


@pytest.mark.parametrize("odd_input", ["no_preamble"], indirect=True)
def test_no_preamble(odd_input: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        checked = check_items(find_items(odd_input), tmp_path / "quarantine.csv")
    assert [item["id"] for item in checked.items] == [*(f"IM{number:06d}" for number in range(5)), "one"]
    assert np.ptp(read_image(checked.items[0])) == 1
    assert "DICOM files without meta header were read in the encoding that their first elements show (5:" in caplog.text
