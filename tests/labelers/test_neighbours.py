from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from labelmine.labelers.neighbours import nearest


def unit(rows: int, dims: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(5, 60), st.integers(2, 16), st.integers(1, 5), st.integers(0, 999))
def test_neighbours_equal_scikit_learn_s(queries: int, size: int, dims: int, k: int, seed: int) -> None:
    query, pool = unit(queries, dims, seed), unit(size, dims, seed + 1)
    similarity, index = nearest(query, pool, k)
    distance, expected = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(pool).kneighbors(query)
    assert np.allclose(1 - distance, similarity, atol=1e-5)
    assert torch.allclose((query[:, None] * pool[index]).sum(-1), similarity, atol=1e-6)
    apart = np.diff(distance, axis=1).min(initial=1) > 1e-5 if k > 1 else True
    if apart and k > 1:
        assert np.array_equal(index[:, :-1], expected[:, :-1])


@pytest.mark.parametrize("memory_mb", [0.0001, 0.01, 1000])
def test_memory_bounds_change_nothing(memory_mb: float) -> None:
    query, pool = unit(70, 8, 0), unit(50, 8, 1)
    similarity, index = nearest(query, pool, 3, memory_mb)
    whole = (query @ pool.t()).topk(3)
    assert torch.allclose(similarity, whole.values, atol=1e-6)
    assert torch.equal(index, whole.indices)
