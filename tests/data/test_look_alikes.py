"""Files that may be masks and are not called so are told of, and the knob that is shown pairs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.data import find_items, prepare_image_set
from labelmine.data.findings import Findings
from labelmine.data.look_alikes import KIND
from labelmine.errors import DataError

DRAWN = np.random.default_rng(0)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DRAWN.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / name)


def told(folder: Path, mask_pattern: str | None = None) -> list[str]:
    findings = Findings()
    find_items(folder, mask_pattern=mask_pattern, findings=findings)
    return [row.sentence for row in findings.rows() if row.kind == KIND]


@pytest.mark.parametrize(
    "templates",
    [
        ("Image_{:02d}L.jpg", "Image_{:02d}L_1stHO.png"),
        ("p/{}.png", "p/{}-expert.png"),
        ("images/{}.png", "experts/{}.png"),
        ("images/{}.ppm", "drawn/deep/{}.pgm"),
    ],
)
def test_the_knob_that_is_shown_pairs_them(tmp_path: Path, templates: Sequence[str]) -> None:
    write(tmp_path / "set", *(template.format(number) for number in range(5) for template in templates))
    assert len(told(tmp_path / "set")) == 1
    with pytest.raises(DataError, match=r"too little gold: none of the .* images has a mask") as stop:
        prepare_image_set(str(tmp_path / "set"), str(tmp_path / "run"))
    shown = re.findall(r"--mask_pattern '([^']+)'", str(stop.value))[-1]
    items = find_items(tmp_path / "set", mask_pattern=shown)
    assert len(items) == 5
    assert all("label" in item for item in items)


def test_what_is_no_mask_is_told_where_the_masks_are_known(tmp_path: Path) -> None:
    write(tmp_path, *(f"images/{n}{end}.png" for n in range(4) for end in ("", "_superpixels")))
    write(tmp_path, *(f"masks/{n}.png" for n in range(4)))
    (sentence,) = told(tmp_path)
    assert "'_superpixels'" in sentence
    assert "move them out" in sentence


@pytest.mark.parametrize(
    "names",
    [
        [f"scan_{n}.png" for n in range(9)] + ["scan.png"],
        [f"p{n}/{view}.png" for n in range(5) for view in ("front", "side")],
        ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "a_left.png"],
    ],
)
def test_nothing_is_told_of_plain_names(tmp_path: Path, names: Sequence[str]) -> None:
    write(tmp_path, *names)
    assert told(tmp_path) == []
