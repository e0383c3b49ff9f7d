from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelmine.errors import ConfigError
from labelmine.quality.review import centred, rank_for_review


def slowly(ids: list[str], dice: list[float], vectors: Any, diversity: float) -> list[str]:
    """The formula, pair by pair."""

    def alike(i: int, j: int) -> float:
        a, b = np.asarray(vectors[i], float), np.asarray(vectors[j], float)
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        return max(0.0, float(a @ b / norms)) if norms > 1e-12 else 0.0

    chosen: list[int] = []
    while len(chosen) < len(ids):
        rest = sorted((i for i in range(len(ids)) if i not in chosen), key=lambda i: ids[i])
        benefit = {
            i: (1 - diversity) * (1 - dice[i]) - diversity * max([round(alike(i, j), 6) for j in chosen], default=0.0)
            for i in rest
        }
        best = max(round(value, 6) for value in benefit.values())
        chosen.append(next(i for i in rest if round(benefit[i], 6) == best))
    return [ids[i] for i in chosen]


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_against_the_formula_pair_by_pair(diversity: float) -> None:
    rng = np.random.default_rng(3)
    ids = [f"image_{n:02d}" for n in rng.permutation(25)]
    dice, vectors = rng.uniform(0, 1, 25).round(3), rng.normal(size=(25, 4))
    ranked = rank_for_review(ids, dice, vectors, diversity)
    assert [ids[i] for i in ranked.order] == slowly(ids, dice.tolist(), vectors, diversity)
    assert ranked.gain == pytest.approx(1 - dice[ranked.order])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for place in range(1, 25):
        front = unit[ranked.order[:place]] @ unit[ranked.order[place]]
        assert ranked.similarity[place] == pytest.approx(max(0, front.max()), abs=1e-5)
    assert ranked.similarity[0] == 0


def test_copies_count_once() -> None:
    ids = ["worst", "its_copy", "its_other_copy", "other", "good"]
    vectors = [[1, 0, 0], [1, 0, 0], [1, 0.01, 0], [0, 1, 0], [0, 0, 1]]
    dice = [0.1, 0.1, 0.1, 0.4, 0.8]
    ranked = rank_for_review(ids, dice, vectors)
    assert [ids[i] for i in ranked.order[:3]] == ["its_copy", "other", "good"]
    by_gain = rank_for_review(ids, dice, vectors, diversity=0)
    assert [ids[i] for i in by_gain.order] == ["its_copy", "its_other_copy", "worst", "other", "good"]


@given(
    dice=arrays(np.float64, 6, elements=st.floats(0, 1)),
    vectors=arrays(np.float64, (6, 3), elements=st.floats(-5, 5)),
    diversity=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_the_order_of_the_list_changes_nothing(dice: Any, vectors: Any, diversity: float, seed: int) -> None:
    ids = [f"i{n}" for n in range(6)]
    stir = np.random.default_rng(seed).permutation(6)
    first = rank_for_review(ids, dice, vectors, diversity)
    second = rank_for_review([ids[i] for i in stir], dice[stir], vectors[stir], diversity)
    assert sorted(first.order) == list(range(6))
    assert [ids[i] for i in first.order] == [ids[stir[i]] for i in second.order]
    assert ((first.similarity >= 0) & (first.similarity <= 1)).all()


def test_centring_tells_positive_features_apart() -> None:
    features = np.array([[10.0, 10.0], [10.0, 11.0], [11.0, 10.0]])
    assert centred(features).mean(axis=0) == pytest.approx([0, 0])
    assert centred([[3.0, 4.0]]).tolist() == [[3.0, 4.0]]


def test_none_and_one() -> None:
    assert rank_for_review([], [], []).order.tolist() == []
    one = rank_for_review(["a"], [0.25], [[0.0, 0.0]])
    assert (one.order.tolist(), one.gain.tolist(), one.similarity.tolist()) == ([0], [0.75], [0.0])


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"diversity": 1.5}, r"diversity: expected a number in \[0, 1\], 0: by gain alone, .* Got: 1\.5"),
        ({"ids": ["a", "a"]}, "expected each image once, got 'a' more than once"),
        ({"expected_dice": [0.5]}, r"expected 2 expected Dice \(N,\) .* got \(1,\) and \(2, 1\)"),
        ({"embeddings": [[1.0]]}, r"got \(2,\) and \(1, 1\)"),
        ({"expected_dice": [0.5, 1.5]}, r"expected Dice in \[0, 1\]"),
        ({"embeddings": [[np.nan], [0.0]]}, "finite embeddings"),
    ],
)
def test_what_cannot_be_ranked(given_: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"ids": ["a", "b"], "expected_dice": [0.5, 0.5], "embeddings": [[1.0], [0.0]]}
    with pytest.raises(ConfigError, match=message):
        rank_for_review(**{**usual, **given_})
