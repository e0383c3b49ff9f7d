from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage.draw import polygon2mask

from labelmine.evaluation import Case
from labelmine.report import overlays


def a_case(**changes: object) -> Case:
    gold = np.zeros((1, 40, 60), dtype=bool)
    gold[0, 10:30, 20:45] = True
    fields: dict[str, object] = {"id": "a", "image": np.full((40, 60, 3), 0.4), "gold": gold}
    fields |= {"predictions": {"mined": np.roll(gold, 4, axis=2)}, "dice": {"mined": 0.84}}
    return Case(**(fields | changes))  # type: ignore[arg-type]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_panel_keeps_the_shape_of_the_image() -> None:
    height, width, _ = pixels(overlays.overlay(a_case())).shape
    assert (width, height) == (480, 320)


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the colour is, with room for the lossy picture format."""
    return np.abs(picture - np.array(colour)).sum(axis=2) < 90


def test_gold_lies_on_the_outline_of_the_mask() -> None:
    picture = pixels(overlays.overlay(a_case(predictions={"mined": np.zeros((1, 40, 60), bool)}), "mined"))
    rows, columns = np.nonzero(near(picture, (255, 212, 0)))
    # Eight picture pixels per image pixel: the mask spans columns 20 to 45 and rows 10 to 30.
    assert np.allclose([columns.min(), columns.max(), rows.min(), rows.max()], [160, 360, 80, 240], atol=6)


def test_gold_is_solid_and_prediction_dashed() -> None:
    gold = a_case().gold
    assert gold is not None
    top = slice(76, 84)  # the upper edge of the mask
    solid = pixels(overlays.overlay(a_case(predictions={"p": np.zeros_like(gold)}), "p"))[top, 175:345]
    dashed = pixels(overlays.overlay(a_case(gold=None, predictions={"p": gold}), "p"))[top, 175:345]
    assert near(solid, (255, 212, 0)).any(axis=0).all()
    covered = near(dashed, (63, 208, 255)).any(axis=0).mean()
    assert 0.3 < covered < 0.9


def test_an_image_alone_hides_the_outlines_and_prompts_are_drawn_on_demand() -> None:
    case = a_case(
        boxes=np.array([[20, 10, 45, 30]]), points=np.array([[30.0, 20.0], [5, 5]]), point_labels=np.array([1, 0])
    )
    assert np.ptp(pixels(overlays.overlay(case))[10:-10, 10:-10]) < 12
    assert np.ptp(pixels(overlays.overlay(case, prompts=True))) > 150


def test_padding_points_are_not_drawn() -> None:
    case = a_case(points=np.array([[30.0, 20.0]]), point_labels=np.array([-1]))
    assert np.ptp(pixels(overlays.overlay(case, prompts=True))) < 12


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9), elements=st.booleans()))
def test_outlines_are_closed_and_inside_the_image(mask: np.ndarray) -> None:
    for line in overlays.outlines(mask):
        assert np.allclose(line[0], line[-1])
        assert (line >= -0.5).all()
        assert (line <= np.array(mask.shape[::-1]) - 0.5).all()


def test_an_outline_filled_gives_the_mask_again() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[0:12, 5:30] = True  # touches two borders
    (line,) = overlays.outlines(mask)
    assert np.array_equal(polygon2mask(mask.shape, line[:, ::-1]), mask)


def test_every_class_has_its_outline() -> None:
    mask = np.zeros((2, 20, 20), dtype=bool)
    mask[0, 2:5, 2:5] = mask[1, 10:15, 10:15] = True
    assert len(overlays.outlines(mask)) == 2


def test_titles_say_who_drew_and_how_well() -> None:
    assert overlays.panel_title(a_case(), "mined") == "mined, Dice 0.84"
    assert overlays.panel_title(a_case(dice={"mined": float("nan")}), "mined") == "mined"
    assert overlays.panel_title(a_case(), None) == "image"
    assert overlays.panel_title(a_case(boxes=np.array([[1, 1, 5, 5]])), None) == "image and prompts"


def test_a_case_in_a_row_is_a_png_and_the_same_twice() -> None:
    case = a_case(boxes=np.array([[1, 1, 5, 5]]))
    first = overlays.case_row(case)
    assert first.startswith(b"\x89PNG")
    assert first == overlays.case_row(case)


@pytest.mark.parametrize(("shape", "size"), [((40, 60), (320, 213)), ((60, 40), (213, 320)), ((4000, 4), (10, 320))])
def test_a_thumbnail_keeps_the_shape_of_the_image_within_its_bounds(shape: tuple, size: tuple) -> None:
    case = Case(id="a", image=np.full((*shape, 3), 0.4))
    height, width, _ = pixels(overlays.thumbnail(case)).shape
    assert (width, height) == size


def test_a_thumbnail_shows_each_class_where_its_mask_is() -> None:
    gold = np.zeros((2, 40, 60), dtype=bool)
    gold[0, 5:35, 5:25] = gold[1, 5:35, 35:55] = True
    picture = pixels(overlays.thumbnail(a_case(gold=gold)))
    scale = 320 / 60
    for (colour, *_), left, right in zip(overlays.CLASS_STYLES, (5, 35), (25, 55), strict=False):
        rgb = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
        _, columns = np.nonzero(near(picture, rgb))
        assert np.allclose([columns.min(), columns.max()], [left * scale, right * scale], atol=4)


def test_a_single_pixel_of_a_large_mask_is_seen() -> None:
    gold = np.zeros((1300, 1300), dtype=bool)
    gold[651, 326] = True
    picture = pixels(overlays.thumbnail(Case(id="a", image=np.full((1300, 1300, 3), 0.4), gold=gold)))
    rows, columns = np.nonzero(near(picture, (255, 212, 0)))
    assert abs(rows.mean() / 320 - 0.5) < 0.01
    assert abs(columns.mean() / 320 - 0.25) < 0.01


def test_a_thumbnail_of_an_empty_mask_is_the_image_alone() -> None:
    assert np.ptp(pixels(overlays.thumbnail(a_case(gold=np.zeros((40, 60), bool))))[5:-5, 5:-5]) < 12


def test_classes_of_one_image_differ_in_colour_and_neighbours_in_line() -> None:
    assert len({colour for colour, *_ in overlays.CLASS_STYLES}) == len(overlays.CLASS_STYLES)
    lines = [dashes for *_, dashes in overlays.CLASS_STYLES]
    assert all(one != other for one, other in pairwise(lines))
