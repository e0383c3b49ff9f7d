from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelmine.evaluation.lesions import count_false_lesions, count_lesions, gold_lesions, lesion_facts

pair_of_masks = hnp.array_shapes(min_dims=3, max_dims=3, max_side=8).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def slow_components(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Flood fill, pixel by pixel: nothing shared with the code under test."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        part, front = set(), [min(left)]
        while front:
            y, x = front.pop()
            if (y, x) in left:
                left.remove((y, x))
                part.add((y, x))
                front += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        found.append(part)
    return found


def slow_facts(pred: np.ndarray, gold: np.ndarray) -> dict[str, int]:
    names = ("small", "medium", "large")
    facts = {"n_lesions": 0, "false_lesions": 0}
    facts |= {f"{what}_{name}": 0 for what in ("lesions", "found") for name in names}
    for channel, reference in zip(pred, gold, strict=True):
        predicted = {(int(y), int(x)) for y, x in np.argwhere(channel)}
        truth = {(int(y), int(x)) for y, x in np.argwhere(reference)}
        for lesion in slow_components(reference):
            part = len(lesion) / reference.size
            size = names[0] if part < 0.02 else names[1] if part < 0.10 else names[2]
            facts["n_lesions"] += 1
            facts[f"lesions_{size}"] += 1
            facts[f"found_{size}"] += 2 * len(lesion & predicted) >= len(lesion)
        facts["false_lesions"] += sum(not part & truth for part in slow_components(channel))
    return facts


@settings(max_examples=100, deadline=None)
@given(pair_of_masks)
def test_agrees_with_a_flood_fill(masks: tuple[np.ndarray, np.ndarray]) -> None:
    assert lesion_facts(*masks) == slow_facts(*masks)


def test_agrees_with_a_flood_fill_where_all_sizes_occur() -> None:
    rng = np.random.default_rng(0)
    gold = np.zeros((2, 40, 40), dtype=bool)
    gold[0, 2:20, 2:20] = gold[0, 25:33, 25:33] = gold[0, 0, 39] = gold[1, 5:9, 30:34] = True
    for _ in range(10):
        pred = gold & (rng.random(gold.shape) > 0.5)
        pred[:, 36:, :6] = rng.random((2, 4, 6)) > 0.7
        facts = lesion_facts(pred, gold)
        assert facts == slow_facts(pred, gold)
        assert (facts["lesions_small"], facts["lesions_medium"], facts["lesions_large"]) == (2, 1, 1)


@settings(max_examples=50, deadline=None)
@given(pair_of_masks)
def test_gold_finds_itself_and_invents_nothing(masks: tuple[np.ndarray, np.ndarray]) -> None:
    facts = lesion_facts(masks[0], masks[0])
    for size in ("small", "medium", "large"):
        assert facts[f"found_{size}"] == facts[f"lesions_{size}"]
    assert facts["false_lesions"] == 0
    assert facts["n_lesions"] == count_lesions(masks[0])


@pytest.mark.parametrize(("pixels", "found"), [(4, 0), (5, 1), (10, 1)])
def test_half_of_a_lesion_is_enough(pixels: int, found: int) -> None:
    gold, pred = np.zeros((2, 1, 10, 50), dtype=bool)
    gold[0, 3, :10] = True
    pred[0, 3, :pixels] = True
    facts = lesion_facts(pred, gold)
    assert (facts["lesions_medium"], facts["found_medium"], facts["false_lesions"]) == (1, found, 0)


@pytest.mark.parametrize(("width", "size"), [(1, "small"), (2, "medium"), (9, "medium"), (10, "large")])
def test_a_limit_belongs_to_the_larger_size(width: int, size: str) -> None:
    gold = np.zeros((1, 10, 100), dtype=bool)
    gold[0, :, :width] = True
    assert lesion_facts(gold, gold)[f"found_{size}"] == 1


def test_one_blob_finds_every_lesion_and_pieces_add_up() -> None:
    gold = np.zeros((1, 6, 20), dtype=bool)
    gold[0, 2, 2:6] = gold[0, 2, 10:14] = True
    assert gold_lesions(np.ones_like(gold), gold)[1].tolist() == [4, 4]
    pieces = gold.copy()
    pieces[0, 2, [3, 11, 12]] = False
    facts = lesion_facts(pieces, gold)
    assert (facts["n_lesions"], facts["found_medium"] + facts["found_large"], facts["false_lesions"]) == (2, 2, 0)


def test_only_the_own_class_counts() -> None:
    gold, pred = np.zeros((2, 2, 5, 5), dtype=bool)
    gold[0, 2, 2] = pred[1, 2, 2] = True
    facts = lesion_facts(pred, gold)
    assert (facts["lesions_medium"], facts["found_medium"], facts["false_lesions"]) == (1, 0, 1)


def test_empty_masks_hold_no_lesions() -> None:
    empty = np.zeros((1, 4, 4), dtype=bool)
    assert set(lesion_facts(empty, empty).values()) == {0}
    assert count_false_lesions(np.ones_like(empty), empty) == 1
    assert count_lesions(np.eye(4, dtype=bool)[None]) == 1
