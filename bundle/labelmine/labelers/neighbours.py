"""Exact nearest neighbours by cosine: faiss on a CPU, torch on a GPU and where faiss is not to be had."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch
from torch import Tensor


def nearest(query: Tensor, pool: Tensor, k: int, memory_mb: float = 256.0) -> tuple[Tensor, Tensor]:
    """Return the ``k`` most similar pool vectors of each query vector.

    On a CPU faiss is the fastest of what was compared in ``scripts/benchmarks/neighbours.py``: it keeps the best of
    each block of similarities while it makes them. torch has to store the block and sort it.

    Args:
        query: (Q, D) float32 L2-normalised vectors.
        pool: (P, D) float32 L2-normalised vectors, on the same device; P >= k.
        k: Number of neighbours.
        memory_mb: Bound in MB of the similarities that torch holds at once; faiss needs a few MB.

    Returns:
        Similarities (Q, k) in [-1, 1], descending, and positions (Q, k) in the pool.

    Example:
        >>> similarity, index = nearest(torch.eye(2), torch.eye(2), k=1)
        >>> index.flatten().tolist()
        [0, 1]
    """
    faiss = _faiss() if query.device.type == "cpu" else None
    if faiss is None:
        return by_torch(query, pool, k, memory_mb)
    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(pool.shape[1])
    index.add(pool.contiguous().numpy())
    similarity, position = index.search(query.contiguous().numpy(), k)
    return torch.from_numpy(similarity), torch.from_numpy(position)


def by_torch(query: Tensor, pool: Tensor, k: int, memory_mb: float = 256.0) -> tuple[Tensor, Tensor]:
    """Do what ``nearest`` does by a product of matrices and a top-k, query vectors taken in chunks."""
    chunk = max(1, int(memory_mb * 1e6 / (4 * len(pool))))
    parts = [(part @ pool.t()).topk(k, dim=1) for part in torch.split(query, chunk)]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])


def _faiss() -> ModuleType | None:
    try:
        return importlib.import_module("faiss")
    except ImportError:  # no wheel for this platform
        return None
