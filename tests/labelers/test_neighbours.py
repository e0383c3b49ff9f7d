from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from labelmine.labelers.neighbours import by_torch, nearest


def unit(rows: int, dims: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("search", [nearest, by_torch])
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(5, 60), st.integers(2, 16), st.integers(1, 5), st.integers(0, 999))
def test_neighbours_equal_scikit_learn_s(search: Any, queries: int, size: int, dims: int, k: int, seed: int) -> None:
    query, pool = unit(queries, dims, seed), unit(size, dims, seed + 1)
    similarity, index = search(query, pool, k)
    distance, expected = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(pool).kneighbors(query)
    assert np.allclose(1 - distance, similarity, atol=1e-5)
    assert torch.allclose((query[:, None] * pool[index]).sum(-1), similarity, atol=1e-6)
    apart = np.diff(distance, axis=1).min(initial=1) > 1e-5 if k > 1 else True
    if apart and k > 1:
        assert np.array_equal(index[:, :-1], expected[:, :-1])


@pytest.mark.parametrize("memory_mb", [0.0001, 0.01, 1000])
def test_memory_bounds_change_nothing(memory_mb: float) -> None:
    query, pool = unit(70, 8, 0), unit(50, 8, 1)
    similarity, index = by_torch(query, pool, 3, memory_mb)
    whole = (query @ pool.t()).topk(3)
    assert torch.allclose(similarity, whole.values, atol=1e-6)
    assert torch.equal(index, whole.indices)


def test_where_faiss_is_missing_torch_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    query, pool = unit(70, 8, 0), unit(50, 8, 1)
    pytest.importorskip("faiss")
    with_faiss = nearest(query, pool, 3)
    monkeypatch.setitem(sys.modules, "faiss", None)
    without = nearest(query, pool, 3)
    assert torch.allclose(with_faiss[0], without[0], atol=1e-6)
    assert torch.equal(with_faiss[1], without[1])
