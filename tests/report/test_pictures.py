from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from labelmine.evaluation import Case
from labelmine.report import case_keys, case_pictures, class_keys, overlays, thumbnails


def a_case(**changes: object) -> Case:
    gold = np.zeros((2, 40, 60), dtype=bool)
    gold[0, 10:30, 20:45] = True
    fields: dict[str, object] = {"id": "scan 1", "image": np.full((40, 60, 3), 0.4), "gold": gold}
    return Case(**(fields | changes))  # type: ignore[arg-type]


def test_a_case_has_the_image_and_a_panel_for_each_prediction() -> None:
    gold = a_case().gold
    assert gold is not None
    shown = case_pictures(a_case(predictions={"student": gold, "mined": gold}, dice={"mined": 1.0}, caption="best"))
    assert (shown.id, shown.caption) == ("scan 1", "best")
    assert [panel.title for panel in shown.panels] == ["image", "student", "mined, Dice 1.00"]
    assert shown.panels[2].alt == "scan 1: gold (solid) and mined, Dice 1.00 (dashed)"


@pytest.mark.parametrize(
    ("changes", "classes", "alt"),
    [
        ({}, ["head", "tail"], "scan 1: outlines of head"),
        ({}, [], "scan 1: outlines of class 1"),
        ({"gold": np.zeros((40, 60), bool)}, ["head"], "scan 1: empty mask"),
        ({"gold": None}, ["head"], "scan 1: no mask"),
    ],
)
def test_a_thumbnail_is_told_to_those_who_cannot_see_it(changes: dict, classes: list[str], alt: str) -> None:
    (picture,) = thumbnails(iter([a_case(**changes)]), classes)
    assert picture.alt == alt


def test_a_thumbnail_is_a_picture_of_its_case_and_names_it() -> None:
    case = a_case(caption="2 classes")
    plain, titled = thumbnails([a_case(), case])
    assert (plain.title, titled.title) == ("scan 1", "scan 1: 2 classes")
    data = base64.b64decode(titled.source.removeprefix("data:image/webp;base64,"))
    assert data == overlays.thumbnail(case)
    assert Image.open(io.BytesIO(data)).format == "WEBP"


def test_legends_show_the_lines_that_are_drawn() -> None:
    assert [(key.colour, key.dashes) for key in case_keys()] == [("#ffd400", ""), ("#3fd0ff", "7 4")]
    assert len(case_keys(prompts=True)) == 4
    keys = class_keys([f"c{index}" for index in range(9)])
    assert [(key.colour, key.dashes) for key in keys[:8]] == [(colour, d) for colour, _, d in overlays.CLASS_STYLES]
    assert keys[8].colour == keys[0].colour
