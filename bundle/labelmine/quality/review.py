"""Whom should an expert correct first? Images whose correction should help most, and that are unlike each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelmine.errors import ConfigError
from labelmine.ranges import check_number

#: Decimals that gains and similarities are rounded to: the last bits of a network's features differ between machines.
DECIMALS = 6


@dataclass(frozen=True)
class ReviewOrder:
    """Images in the order in which to correct them.

    Attributes:
        order: (N,) int64 indices of the images, the one to correct first in front.
        gain: (N,) float64 in [0, 1], in that order: what correcting the image should bring, ``1 - expected Dice``.
        similarity: (N,) float64 in [0, 1], in that order: cosine similarity to the most similar image in front.
    """

    order: NDArray[np.int64]
    gain: NDArray[np.float64]
    similarity: NDArray[np.float64]


def rank_for_review(
    ids: Sequence[str], expected_dice: ArrayLike, embeddings: ArrayLike, diversity: float = 0.5
) -> ReviewOrder:
    r"""Order images by what their correction should bring, each beside those in front of it.

    Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998, section 2), with the expected gain for relevance:
    the next image is the one with the largest

    .. math:: (1 - \lambda) (1 - d_i) - \lambda \max_{j \in S} s_{ij}

    where :math:`d_i` is the expected Dice, :math:`S` the images in front and :math:`s_{ij}` the cosine similarity of
    two embeddings, 0 where negative. Of two copies only one thus comes early. Ties go to the smaller id; the order of
    the arguments changes nothing.

    Args:
        ids: N distinct ids.
        expected_dice: (N,) in [0, 1]: the labels' scores.
        embeddings: (N, D), of any length; see ``centred`` for those of a network.
        diversity: lambda in [0, 1]. 0: by gain alone; 1: the first by id, then always what is least alike.

    Returns:
        All N images, ranked. Time grows with N squared times D: seconds for thousands of images.

    Raises:
        ConfigError: Diversity out of range, doubled ids, or arrays of another length or with values out of range.

    Example:
        >>> ranked = rank_for_review(["a", "b", "c"], [0.2, 0.21, 0.5], [[1, 0], [1, 0], [0, 1]])
        >>> ranked.order.tolist(), ranked.gain.tolist()
        ([0, 2, 1], [0.8, 0.5, 0.79])
    """
    dice, vectors = _checked(ids, expected_dice, embeddings, diversity)
    by_id = np.argsort(np.asarray(ids, dtype=str), kind="stable")
    gain, unit = np.round(1 - dice[by_id], DECIMALS), _unit(vectors[by_id])
    nearest, left = np.zeros(len(gain)), np.ones(len(gain), dtype=bool)
    order, similarity = [], []
    for _ in range(len(gain)):
        benefit = np.where(left, (1 - diversity) * gain - diversity * nearest, -np.inf)
        chosen = int(np.argmax(np.round(benefit, DECIMALS)))
        order.append(chosen)
        similarity.append(nearest[chosen])
        left[chosen] = False
        nearest = np.maximum(nearest, np.round(np.clip(unit @ unit[chosen], 0, 1), DECIMALS))
    return ReviewOrder(by_id[order].astype(np.int64), gain[order], np.asarray(similarity, dtype=np.float64))


def centred(features: ArrayLike) -> NDArray[np.float64]:
    """Take the mean image away, as pooled features of a network are all positive and so all look alike.

    Args:
        features: (N, D).

    Returns:
        (N, D) float64; one image alone stays as it is.
    """
    array = np.asarray(features, dtype=np.float64)
    return array - array.mean(axis=0) if len(array) > 1 else array


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors of length 1; a zero vector stays and is similar to nothing."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 1e-12))


def _checked(
    ids: Sequence[str], expected_dice: ArrayLike, embeddings: ArrayLike, diversity: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    check_number("diversity", diversity, 0, 1, hint="0: by gain alone, 1: unlike images")
    if len(set(ids)) < len(ids):
        doubled = next(name for name in ids if list(ids).count(name) > 1)
        raise ConfigError(f"ids: expected each image once, got {doubled!r} more than once")
    dice, vectors = np.asarray(expected_dice, dtype=np.float64), np.asarray(embeddings, dtype=np.float64)
    vectors = vectors.reshape(0, 1) if vectors.size == 0 else vectors
    if dice.shape != (len(ids),) or vectors.ndim != 2 or len(vectors) != len(ids):
        raise ConfigError(
            f"expected {len(ids)} expected Dice (N,) and embeddings (N, D), one per id; got {dice.shape} and "
            f"{vectors.shape}"
        )
    if not np.isfinite(vectors).all() or not ((dice >= 0) & (dice <= 1)).all():
        raise ConfigError("expected Dice in [0, 1] and finite embeddings, got values outside or missing ones")
    return dice, vectors
