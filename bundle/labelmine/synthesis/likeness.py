"""How good made images are: like real ones as a set (FID), unlike each other (MS-SSIM), and no copies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import FIDMetric
from monai.metrics.regression import compute_ms_ssim
from torch import Tensor

from labelmine.errors import DataError

KERNEL = 7  # pixels of the window; 11, the usual one, leaves no scales at 64 px
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, finest first


def frechet_distance(made: Tensor, real: Tensor) -> float:
    """Fréchet distance of two sets of features; FID, where they come from Inception (Heusel et al. 2017).

    It depends on the network and, below some thousand images, on their number: compare only figures with the same ones.

    Args:
        made: (N, D) features of made images.
        real: (M, D) features of real ones.

    Raises:
        DataError: Fewer than two images in a set.
    """
    if min(len(made), len(real)) < 2:
        raise DataError(f"expected two made and two real images or more, got {len(made)} and {len(real)}")
    return float(FIDMetric()(made, real))


def ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Multi-scale structural similarity of pairs of images (Wang et al. 2003).

    As many scales are used as images of this size allow, their weights scaled to a sum of 1.

    Args:
        first: (N, C, H, W) in [0, 1], sides of 16 or more.
        second: The same number and size.

    Returns:
        (N,), at most 1.
    """
    scales = max(1, min(len(SCALE_WEIGHTS), int(np.log2((min(first.shape[-2:]) - 1) / (KERNEL - 1)))))
    weights = torch.tensor(SCALE_WEIGHTS[:scales])
    similarity: Tensor = compute_ms_ssim(
        first, second, spatial_dims=2, kernel_size=(KERNEL, KERNEL), weights=(weights / weights.sum()).tolist()
    )
    return similarity.reshape(-1)


def diversity(images: Tensor, pairs: int = 500, seed: int = 0) -> float:
    """Mean MS-SSIM of random pairs within a set; lower is more diverse (real images are the measure).

    Args:
        images: (N, C, H, W) in [0, 1], two or more.
        pairs: Number of pairs, drawn without an image paired with itself.
        seed: Of the draw.
    """
    if len(images) < 2:
        raise DataError(f"diversity: expected two images or more, got {len(images)}")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(images), pairs)
    second = (first + rng.integers(1, len(images), pairs)) % len(images)
    parts = zip(np.array_split(first, -(-pairs // 64)), np.array_split(second, -(-pairs // 64)), strict=True)
    values = [ms_ssim(images[a], images[b]) for a, b in parts]
    return float(torch.cat(values).mean())


def nearest_distance(features: Tensor, pool: Tensor, itself: bool = False) -> Tensor:
    """Return the Euclidean distance (N,) of each row to the nearest of a pool.

    Args:
        features: (N, D).
        pool: (M, D).
        itself: Whether row i of both is the same image, which is then not its own neighbour.
    """
    return _distances(features, pool, itself).amin(1)


def memorisation(images: Tensor, pool: Tensor, features: Tensor, pool_features: Tensor, itself: bool = False) -> float:
    """Mean MS-SSIM of images with the real one nearest in feature space; real to real is the measure.

    Args:
        images: (N, C, H, W) in [0, 1].
        pool: (M, C, H, W) real images.
        features: (N, D) features of the images.
        pool_features: (M, D).
        itself: Whether both sets are the same one.
    """
    nearest = pool[_distances(features, pool_features, itself).argmin(1)]
    pairs = zip(torch.split(images, 64), torch.split(nearest, 64), strict=True)
    return float(torch.cat([ms_ssim(first, second) for first, second in pairs]).mean())


@dataclass(frozen=True)
class Likeness:
    """How one set of images compares with the gold that a generator was trained on.

    Attributes:
        name: Of the set.
        n: Images in it.
        frechet: Fréchet distance to that gold.
        ms_ssim_within: See ``diversity``.
        ms_ssim_nearest: See ``memorisation``.
    """

    name: str
    n: int
    frechet: float
    ms_ssim_within: float
    ms_ssim_nearest: float


def likeness(
    name: str, images: Tensor, features: Tensor, gold: Tensor, gold_features: Tensor, itself: bool = False
) -> Likeness:
    """Compare a set of images (N, 3, H, W) in [0, 1] and their features (N, D) with those of gold; NaN for too few.

    ``itself`` says that the set is that gold.
    """
    if len(images) < 2:
        return Likeness(name, len(images), math.nan, math.nan, math.nan)
    return Likeness(
        name,
        len(images),
        0.0 if itself else frechet_distance(features, gold_features),
        diversity(images),
        memorisation(images, gold, features, gold_features, itself),
    )


def _distances(features: Tensor, pool: Tensor, itself: bool) -> Tensor:
    """Return distances (N, M); of a set to itself no image is its own neighbour."""
    distances = torch.cdist(features.double(), pool.double())
    return distances.fill_diagonal_(torch.inf) if itself else distances
