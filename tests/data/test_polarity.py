from __future__ import annotations

import numpy as np
import pytest

from labelmine.data import ClassMap
from labelmine.data.findings import Finding, Findings
from labelmine.data.levels import measure_levels
from labelmine.data.polarity import INVERTED, note_polarity
from labelmine.data.stored_masks import StoredMask

BLOB = np.zeros((40, 60), dtype=np.uint8)
BLOB[10:20, 20:40] = 255
EDGE = np.zeros_like(BLOB)
EDGE[:, :8] = 255  # an organ that leaves the picture on one side
FULL = np.full_like(BLOB, 255)


def found(masks: list[np.ndarray | StoredMask], classes: ClassMap | None = None) -> list[Finding]:
    stored = [mask if isinstance(mask, StoredMask) else StoredMask(mask) for mask in masks]
    findings = Findings()
    measured = [measure_levels(mask, f"set/{n}.png") for n, mask in enumerate(stored)]
    note_polarity(measured, classes or ClassMap(), findings)
    assert {row.kind for row in findings.rows()} <= {"polarity"}
    return findings.rows()


@pytest.mark.parametrize("masks", [[BLOB] * 3, [EDGE] * 3, [BLOB * 0] * 3, [], [BLOB, BLOB, 255 - BLOB]])
def test_usual_sets_need_no_word(masks):
    assert found(masks) == []


@pytest.mark.parametrize("rest", [[], [BLOB], [BLOB * 0] * 9])
def test_inverted_masks_are_said(rest):
    rows = found([255 - BLOB, 255 - BLOB, *rest])
    count = 2 + sum(bool(mask.any()) for mask in rest)
    assert [str(row) for row in rows] == [
        f"foreground fills most of the border of the picture in 2 of {count} masks; {INVERTED}",
        f"foreground covers more than half of the picture in 2 of {count} masks; {INVERTED}",
    ]


def test_foreground_all_over_is_named():
    (row,) = found([BLOB, FULL, BLOB, BLOB])
    assert (row.sentence, row.examples) == (f"masks are foreground all over; {INVERTED}", ("1.png",))
    several = ClassMap.from_config({"ground": 1, "object": 2})
    rows = found([np.where(BLOB, np.uint8(2), np.uint8(1))] * 2, several)
    assert rows[0].count == 2


def test_a_cut_decides_what_is_foreground():
    soft = StoredMask(np.where(BLOB, 0.9, 0.2))
    assert len(found([soft])) == 3
    assert found([soft], ClassMap(levels=(0, 0.9))) == []


@pytest.mark.parametrize(
    ("palette", "said"),
    [
        ({0: (255, 255, 255), 1: (255, 0, 0)}, "index 0, taken as background, is shown as [255, 255, 255];"),
        ({0: (0, 0, 0), 1: (255, 0, 0)}, ""),
        ({3: (0, 0, 0), 1: (255, 0, 0)}, "colour map whose black is index 3, taken as foreground;"),
        ({0: (9, 0, 0), 1: (0, 0, 0)}, "is shown as [9, 0, 0] and black is index 1, taken as foreground;"),
    ],
)
def test_palettes_whose_background_is_not_black(palette, said):
    rows = found([StoredMask(BLOB // 255, palette=palette)])
    assert [said in row.sentence for row in rows] == ([True] if said else [])


@pytest.mark.parametrize("width", [1, 2])
def test_outlines_that_are_not_filled_are_said(width):
    outline = BLOB.copy()
    outline[10 + width : 20 - width, 20 + width : 40 - width] = 0
    (row,) = found([outline, outline, BLOB])
    assert str(row).startswith("foreground is made of thin lines in 2 of 3 masks; fill the masks if")
    dot = np.zeros_like(BLOB)
    dot[3:5, 3:6] = 255
    assert found([dot] * 3) == []
