from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy import ndimage

from labelmine.errors import ConfigError, DataError
from labelmine.evaluation.lesions import count_lesions, lesion_facts
from labelmine.evaluation.metrics import COLUMNS, area_fraction, dice_iou, evaluate_masks
from labelmine.evaluation.surface import surface_scores

pair_of_masks = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def slow_dice_iou(pred: np.ndarray, gold: np.ndarray) -> list[tuple[float, float]]:
    """Sets of pixels, by the book: nothing shared with the code under test."""
    scores = []
    for channel in range(len(pred)):
        p = {tuple(index) for index in np.argwhere(pred[channel])}
        g = {tuple(index) for index in np.argwhere(gold[channel])}
        if not g:
            scores.append((0.0, 0.0) if p else (1.0, 1.0))
        else:
            scores.append((2 * len(p & g) / (len(p) + len(g)), len(p & g) / len(p | g)))
    return scores


@settings(max_examples=60, deadline=None)
@given(pair_of_masks)
def test_agrees_with_sets_of_pixels(masks: tuple[np.ndarray, np.ndarray]) -> None:
    dice, iou = dice_iou(*masks)
    assert np.allclose(np.stack([dice, iou], axis=1), slow_dice_iou(*masks), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(pair_of_masks)
def test_range_order_and_symmetry(masks: tuple[np.ndarray, np.ndarray]) -> None:
    pred, gold = masks
    dice, iou = dice_iou(pred, gold)
    assert ((iou >= 0) & (iou <= dice + 1e-6) & (dice <= 1)).all()
    assert np.allclose(dice, 2 * iou / (1 + iou), atol=1e-6)
    assert np.allclose(dice, dice_iou(gold, pred)[0], atol=1e-6)
    assert (dice_iou(gold, gold)[0] == 1).all()


def test_empty_gold_counts_one_when_the_prediction_is_empty_and_zero_otherwise() -> None:
    gold = np.zeros((2, 4, 4), dtype=bool)
    pred = gold.copy()
    pred[1, 0, 0] = True
    assert [values.tolist() for values in dice_iou(pred, gold)] == [[1.0, 0.0], [1.0, 0.0]]


def test_counts_are_exact_on_images_beyond_float32() -> None:
    gold = np.ones((1, 4200, 4200), dtype=bool)  # 17.6 million pixels: 2**24 is where float32 stops counting
    pred = gold.copy()
    pred[0, :2100] = False
    assert dice_iou(pred, gold)[1][0] == pytest.approx(0.5, abs=1e-7)


@pytest.mark.parametrize(
    ("pred", "gold", "message"),
    [
        (np.zeros((1, 4, 4), bool), np.zeros((1, 5, 4), bool), r"got \(1, 4, 4\) and \(1, 5, 4\); resize"),
        (np.zeros((4, 4), bool), np.zeros((4, 4), bool), r"one shape \(K, H, W\), got \(4, 4\)"),
        (np.full((1, 2, 2), 255, np.uint8), np.zeros((1, 2, 2), bool), "prediction of 0 and 1, got uint8.*threshold"),
        (np.zeros((1, 2, 2), bool), np.full((1, 2, 2), 0.5), "gold of 0 and 1, got float64"),
    ],
)
def test_masks_that_cannot_be_compared_are_refused(pred: np.ndarray, gold: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dice_iou(pred, gold)


def test_rows_hold_class_means_and_facts_about_gold() -> None:
    gold = np.zeros((2, 10, 10), dtype=bool)
    gold[0, :2, :2] = gold[0, 5:7, 5:7] = True
    gold[1, 0, 0] = True
    pred = np.zeros_like(gold)
    pred[0, :2, :2] = True
    row = evaluate_masks([("a", pred, gold)], ["polyp", "tool"], {"a": "patient7"}).iloc[0]
    assert row["dice_polyp"] == pytest.approx(2 / 3)
    assert row["dice_tool"] == 0
    assert row["dice"] == pytest.approx(1 / 3)
    assert row["iou"] == pytest.approx(0.25)
    assert (row["gold_area"], row["n_lesions"], row["gold_empty"]) == (0.08, 3, False)
    assert row["group"] == "patient7"


def test_diagonal_pixels_are_one_lesion() -> None:
    assert count_lesions(np.eye(4, dtype=bool)[None]) == 1
    assert area_fraction(np.eye(4, dtype=bool)[None]) == 0.25


def test_uint8_masks_of_0_and_1_are_accepted_and_no_pairs_give_an_empty_table() -> None:
    mask = np.eye(4, dtype=np.uint8)[None]
    assert evaluate_masks([("a", mask, mask)]).loc[0, "dice"] == 1
    assert evaluate_masks([]).columns.tolist() == evaluate_masks([("a", mask, mask)]).columns.tolist() == COLUMNS


def test_rows_hold_lesions_and_distances_where_spacing_is_known() -> None:
    gold = np.zeros((2, 20, 20), dtype=bool)
    gold[0, 2:9, 2:9] = gold[1, 12:15, 12:15] = True
    pred = np.roll(gold, 2, axis=1)
    table = evaluate_masks([("a", pred, gold), ("b", pred, gold)], ["x", "y"], spacings={"b": (3.0, 0.5)})
    bare, known = table.iloc[0], table.iloc[1]
    for name, value in lesion_facts(pred, gold).items():
        assert bare[name] == known[name] == value
    distance, dice = surface_scores(pred, gold, (3.0, 0.5))
    assert (known["hd95_x"], known["hd95_y"], known["hd95"]) == (*distance, distance.mean())
    assert (known["surface_dice_x"], known["surface_dice"]) == (dice[0], dice.mean())
    assert bare[["hd95", "surface_dice", "hd95_x"]].isna().all()


def test_a_class_without_a_distance_leaves_the_image_without() -> None:
    gold = np.zeros((2, 8, 8), dtype=bool)
    gold[:, 2:5, 2:5] = True
    pred = gold.copy()
    pred[1] = False
    row = evaluate_masks([("a", pred, gold)], ["x", "y"], spacings={"a": (1.0, 1.0)}).iloc[0]
    assert math.isnan(row["hd95"])
    assert (row["hd95_x"], row["surface_dice"]) == (0.0, 0.5)


def test_the_tolerance_is_a_knob() -> None:
    gold = np.zeros((1, 16, 16), dtype=bool)
    gold[0, 4:10, 4:10] = True
    pairs = [("a", np.roll(gold, 3, axis=1), gold)]
    scores = [evaluate_masks(pairs, spacings={"a": (1.0, 1.0)}, tolerance=t)["surface_dice"][0] for t in (0, 2, 3)]
    assert scores == sorted(scores)
    assert scores[0] < scores[1] < scores[2] == 1
    with pytest.raises(ConfigError, match=r"tolerance: expected 0 or more millimetres, got -1"):
        evaluate_masks([], tolerance=-1)


def test_a_generator_may_fill_the_spacings_and_errors_name_the_image() -> None:
    mask = np.ones((1, 4, 4), dtype=bool)
    spacings: dict[str, tuple[float, float]] = {}

    def pairs() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        for name, length in (("a", 1.0), ("b", 0.0)):
            spacings[name] = (length, length)
            yield name, mask, mask

    assert evaluate_masks([next(pairs())], spacings=spacings).loc[0, "hd95"] == 0
    with pytest.raises(DataError, match=r"image 'b': spacing: expected \(row, column\)"):
        evaluate_masks(pairs(), spacings=spacings)


def test_a_doubled_image_is_refused_and_errors_name_the_image() -> None:
    mask = np.zeros((1, 4, 4), dtype=bool)
    with pytest.raises(DataError, match="image 'a' came twice"):
        evaluate_masks([("a", mask, mask), ("a", mask, mask)])
    with pytest.raises(DataError, match="image 'b': expected prediction and gold"):
        evaluate_masks([("b", mask, mask[:, :2])])
    with pytest.raises(DataError, match=r"image 'c': expected masks of 2 classes \(x, y\), got 1"):
        evaluate_masks([("c", mask, mask)], ["x", "y"])


@pytest.mark.shared
def test_real_masks_against_a_count_of_pixels(shared_data: Path) -> None:
    files = sorted((shared_data / "kvasir_seg" / "masks").glob("*.png"))[:20]
    masks = {path.stem: np.asarray(Image.open(path).convert("L"))[None] > 0 for path in files}
    table = evaluate_masks((name, np.roll(mask, 9, axis=2), mask) for name, mask in masks.items()).set_index("id")
    for name, mask in masks.items():
        shifted = np.roll(mask, 9, axis=2)
        expected = 2 * np.count_nonzero(shifted & mask) / (np.count_nonzero(shifted) + np.count_nonzero(mask))
        assert table.loc[name, "dice"] == pytest.approx(expected, abs=1e-6)
        assert table.loc[name, "n_lesions"] == ndimage.label(mask[0], np.ones((3, 3)))[1]
