"""Kinds of images: clusters of their features, so that one model can be told which to make."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from labelmine.errors import ConfigError

FEWEST = 4  # images in a cluster on average; S4's had 3 to 42, and the small ones were learnt by heart


def cluster(features: NDArray[np.floating], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign images to clusters (S4: K-means with 20).

    Args:
        features: (N, D), one row an image.
        count: Number of clusters.
        seed: Of K-means.

    Returns:
        (N,) int64 in [0, count).

    Raises:
        ConfigError: When there are too few images for so many clusters.
    """
    if not 1 <= count <= max(1, len(features) // FEWEST):
        raise ConfigError(
            f"clusters: expected 1 to {max(1, len(features) // FEWEST)}, so that each has some {FEWEST} of the "
            f"{len(features)} gold images, as a smaller one is learnt by heart; 0 for none. Got: {count}"
        )
    scaled = StandardScaler().fit_transform(features)
    found: NDArray[np.int64] = KMeans(count, n_init=10, random_state=seed).fit_predict(scaled).astype(np.int64)
    return found
