"""Exact nearest neighbours by cosine, within a bound of memory."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest(query: Tensor, pool: Tensor, k: int, memory_mb: float = 256.0) -> tuple[Tensor, Tensor]:
    """Return the ``k`` most similar pool vectors of each query vector.

    A product of matrices and a top-k, query vectors taken in chunks. Measured against faiss, scikit-learn and
    ``torch.cdist`` in ``scripts/benchmarks/neighbours.py``.

    Args:
        query: (Q, D) L2-normalised vectors.
        pool: (P, D) L2-normalised vectors, on the same device; P >= k.
        k: Number of neighbours.
        memory_mb: Bound in MB of the similarities that are held at once.

    Returns:
        Similarities (Q, k) in [-1, 1], descending, and positions (Q, k) in the pool.

    Example:
        >>> similarity, index = nearest(torch.eye(2), torch.eye(2), k=1)
        >>> index.flatten().tolist()
        [0, 1]
    """
    chunk = max(1, int(memory_mb * 1e6 / (4 * len(pool))))
    parts = [(part @ pool.t()).topk(k, dim=1) for part in torch.split(query, chunk)]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])
