"""How far apart two outlines lie, in millimetres: Hausdorff distance and surface Dice, by MONAI."""

from __future__ import annotations

import math
import warnings
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

from labelmine.errors import ConfigError, DataError

#: (row, column) millimetres per pixel.
Spacing: TypeAlias = tuple[float, float]

# What FLARE 2022 allows its finest organs (aorta, vena cava, adrenal glands, gall bladder); thick ones have 3 to 7 mm.
TOLERANCE_MM = 2.0
PERCENTILE = 95


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that is no distance.

    Raises:
        ConfigError: A negative or infinite tolerance.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"tolerance: expected 0 or more millimetres, got {tolerance}")


def surface_scores(
    pred: npt.NDArray[np.bool_],
    gold: npt.NDArray[np.bool_],
    spacing: Spacing,
    tolerance: float = TOLERANCE_MM,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Hausdorff distance (95th percentile) and surface Dice of each class of one image.

    An outline is the mask's pixels with a neighbour (of four) outside it, the image's border included. Surface Dice is
    the part of both outlines that lies within the tolerance of the other (Nikolov et al., 2021, doi:10.2196/26151, with
    pixels in the place of their surface elements: MONAI's ``use_subvoxels=False``). The distance is the larger one of
    both directions' 95th percentiles.

    Where both masks are empty the distance is 0 and surface Dice 1; where one is, no distance is defined (NaN) and
    surface Dice is 0.

    Args:
        pred: Predicted mask, (K, H, W) bool.
        gold: Gold mask of the same shape.
        spacing: Millimetres per pixel along rows' and columns' index (H, W).
        tolerance: Deviation of an outline that counts as agreement, in millimetres.

    Returns:
        Two (K,) float64 arrays: distance in mm (NaN where undefined), and surface Dice in [0, 1].

    Raises:
        ConfigError: A negative or infinite tolerance.
        DataError: A spacing that is not two positive numbers.

    >>> gold = np.zeros((1, 8, 8), dtype=bool)
    >>> gold[0, 2:5, 2:5] = True
    >>> surface_scores(np.roll(gold, 1, axis=1), gold, spacing=(3.0, 0.5))
    (array([3.]), array([0.625]))
    """
    check_tolerance(tolerance)
    if len(spacing) != 2 or not all(math.isfinite(length) and length > 0 for length in spacing):
        raise DataError(f"spacing: expected (row, column) millimetres above 0, got {spacing}; leave it out if unknown")
    predicted, present = pred.any(axis=(1, 2)), gold.any(axis=(1, 2))
    neither, both = ~predicted & ~present, predicted & present
    distance = np.where(neither, 0.0, np.nan)
    dice = np.where(neither, 1.0, 0.0)
    if both.any():
        # MONAI warns of empty masks, and answers inf or NaN: it sees only those that have two outlines.
        distance[both], dice[both] = _by_monai(pred[both], gold[both], spacing, tolerance)
    return distance, dice


def _by_monai(
    pred: npt.NDArray[np.bool_], gold: npt.NDArray[np.bool_], spacing: Spacing, tolerance: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    masks = [torch.from_numpy(np.ascontiguousarray(mask))[None] for mask in (pred, gold)]
    lengths, thresholds = list(spacing), [tolerance] * len(pred)
    with warnings.catch_warnings():
        # MONAI 1.6 calls its own function with an argument that it deprecates.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        distance = compute_hausdorff_distance(*masks, include_background=True, percentile=PERCENTILE, spacing=lengths)
        dice = compute_surface_dice(*masks, class_thresholds=thresholds, include_background=True, spacing=lengths)
    return distance[0].numpy(), dice[0].numpy()
