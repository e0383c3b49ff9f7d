from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from labelmine.data import hash_pairs
from labelmine.data.hash_pairs import close_pairs

BITS = 512


def hashes_with_copies(count: int, seed: int = 0) -> NDArray[np.uint64]:
    """Random hashes, each tenth a copy of another with 0 to 120 bits turned: on both sides of 90."""
    rng = np.random.default_rng(seed)
    bits = rng.random((count, BITS)) < 0.5
    for copy in range(0, count, 10):
        bits[copy] = bits[(copy * 7 + 3) % count]
        bits[copy, rng.choice(BITS, rng.integers(0, 121), replace=False)] ^= True
    return np.packbits(bits, axis=1).view(np.uint64)


def slow_pairs(hashes: NDArray[np.uint64], max_distance: int) -> list[tuple[int, int, int]]:
    numbers = [int.from_bytes(row.tobytes(), "little") for row in hashes]
    distances = ((i, j, (numbers[i] ^ numbers[j]).bit_count()) for i, j in combinations(range(len(numbers)), 2))
    return [pair for pair in distances if pair[2] <= max_distance]


@pytest.mark.parametrize("with_faiss", [True, False])
def test_equal_to_a_slow_comparison(with_faiss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if with_faiss:
        pytest.importorskip("faiss")
    else:
        monkeypatch.setattr(hash_pairs, "_faiss", lambda: None)
    monkeypatch.setattr(hash_pairs, "BLOCK", 64)
    hashes = hashes_with_copies(300)
    expected = slow_pairs(hashes, 90)
    assert 10 < len(expected) < 40
    assert [tuple(map(int, pair)) for pair in zip(*close_pairs(hashes, 90), strict=True)] == expected


def test_faiss_and_numpy_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    hashes = hashes_with_copies(2500)
    ours = close_pairs(hashes, 90)
    monkeypatch.setattr(hash_pairs, "_faiss", lambda: None)
    assert len(ours[0]) > 100
    for a, b in zip(ours, close_pairs(hashes, 90), strict=True):
        np.testing.assert_array_equal(a, b)


def test_pairs_of_one_group_are_left_out() -> None:
    hashes = np.zeros((4, 8), dtype=np.uint64)
    first, second, distance = close_pairs(hashes, 0, np.array([0, 0, 1, 1]))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert not distance.any()
    assert all(len(part) == 0 for part in close_pairs(np.empty((0, 8), dtype=np.uint64), 90))
