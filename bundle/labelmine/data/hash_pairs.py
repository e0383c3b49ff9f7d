"""All pairs of hashes that differ in few bits: every one, and no other.

Each pair is compared, by faiss (a fraction of a nanosecond a pair where the processor counts bits in vectors), or by
numpy where faiss is not to be had. Tables that leave pairs out without missing any, as ``IndexBinaryMultiHash``, were
slower at every size that was measured: with 90 of 512 bits free to differ they have to look in thousands of places for
each image (``scripts/benchmarks/check_images.py``). Memory grows with the number of images and of pairs, not with its
square.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

#: Hashes compared with all before them at a time; bounds the pairs that are held before ``same`` drops some.
BLOCK = 1024
#: Distances that numpy holds at once.
NUMPY_CELLS = 4_000_000

Hits = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]


def close_pairs(hashes: NDArray[np.uint64], max_distance: int, groups: NDArray[np.int64] | None = None) -> Hits:
    """Find all pairs within a Hamming distance.

    Args:
        hashes: (N, W) uint64, ``64 W`` bits each.
        max_distance: Most differing bits of a pair.
        groups: (N,); pairs of equal group are left out. ``None``: none is.

    Returns:
        First and second position, ``i < j``, and differing bits, of each pair; (P,) each, ascending.
    """
    faiss = _faiss()
    found = _by_faiss(faiss, hashes, max_distance) if faiss else _by_numpy(hashes, max_distance)
    kept = [hits if groups is None else _other_groups(hits, groups) for hits in found]
    if not kept:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32)
    first, second, distance = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    order = np.lexsort((second, first))
    return first[order], second[order], distance[order]


def _other_groups(hits: Hits, groups: NDArray[np.int64]) -> Hits:
    other = groups[hits[0]] != groups[hits[1]]
    return hits[0][other], hits[1][other], hits[2][other]


def _by_faiss(faiss: ModuleType, hashes: NDArray[np.uint64], max_distance: int) -> Iterator[Hits]:
    """Search each block among those added so far, itself included, so that each pair is compared once."""
    content = np.ascontiguousarray(hashes).view(np.uint8)
    index = faiss.IndexBinaryFlat(content.shape[1] * 8)
    for start in range(0, len(content), BLOCK):
        block = content[start : start + BLOCK]
        index.add(block)
        limits, distance, position = index.range_search(block, max_distance + 1)
        query = start + np.repeat(np.arange(len(block)), np.diff(limits.astype(np.int64)))
        before = position < query
        yield position[before], query[before], distance[before].astype(np.int32)


def _by_numpy(hashes: NDArray[np.uint64], max_distance: int) -> Iterator[Hits]:
    """Do the same by counting bits, fewer rows at a time."""
    start = 0
    while start < len(hashes):
        rows = max(1, min(BLOCK, NUMPY_CELLS // (start + BLOCK)))
        block, known = hashes[start : start + rows], hashes[: start + rows]
        distances = np.zeros((len(block), len(known)), dtype=np.int32)
        for word in range(hashes.shape[1]):
            distances += np.bitwise_count(block[:, word, None] ^ known[None, :, word])
        query, position = np.nonzero(distances <= max_distance)
        before = position < query + start
        query, position = query[before], position[before]
        yield position, query + start, distances[query, position]
        start += rows


def _faiss() -> ModuleType | None:
    try:
        return importlib.import_module("faiss")
    except ImportError:  # no wheel for this platform
        return None
