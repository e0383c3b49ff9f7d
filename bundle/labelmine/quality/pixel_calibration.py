"""Pixel probabilities that mean what they say: a logistic curve per class, learnt on gold kept from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.model_selection import GroupKFold
from torch import Tensor

MIN_GROUPS = 4  # images (or groups of them) below which nothing is learnt
FOLDS, BINS = 5, 15
#: Logits are counted in steps of 0.05 between the two ends, which are probabilities of 1e-4.
LOGITS: NDArray[np.float64] = np.linspace(-9.2, 9.2, 369)
#: Weight of staying at the identity, against one image: it alone decides where gold leaves a curve open.
_PRIOR = 0.01


@dataclass(frozen=True, kw_only=True)
class PixelCalibration:
    """Probability of a class at a pixel, ``sigmoid(slope * logit(p) + offset)`` (Platt's curve, one per class).

    Attributes:
        slopes: One per class, above 0.
        offsets: One per class.
        error: Expected calibration error over all pixels, mean over classes, out of fold: each image's pixels are
            judged by curves that were learnt from other groups of images; None where nothing was learnt.
        error_before: The same of the probabilities as they came.
        n_groups: Images, or groups of them, that were learnt from.
        student_sha256: File of the student whose probabilities these are.
    """

    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    error: float | None = None
    error_before: float | None = None
    n_groups: int = 0
    student_sha256: str | None = None

    @classmethod
    def identity(cls, n_classes: int) -> PixelCalibration:
        """Return one that changes nothing."""
        return cls(slopes=(1.0,) * n_classes, offsets=(0.0,) * n_classes)

    @classmethod
    def fit(cls, counts: NDArray[np.int64], groups: Sequence[str], student_sha256: str) -> PixelCalibration | None:
        """Learn from gold; None where it is too little (fewer than 4 groups of images).

        Args:
            counts: (N, K, 2, 369) of each image and class the pixels outside and inside gold by ``LOGITS``, see
                ``count_logits``. Each image counts as much as another.
            groups: Image or patient of each of the N.
            student_sha256: File of the student.
        """
        n_groups = len(set(groups))
        if n_groups < MIN_GROUPS:
            return None
        shares = counts / counts.sum(axis=(2, 3), keepdims=True).clip(min=1)
        before, after = [], []
        for learnt, judged in GroupKFold(min(FOLDS, n_groups)).split(shares, groups=groups):
            curves = _curves(shares[learnt])
            after.append(_errors(shares[judged], curves))
            before.append(_errors(shares[judged], np.tile([1.0, 0.0], (len(curves), 1))))
        curves = _curves(shares)
        return cls(
            slopes=tuple(map(float, curves[:, 0])),
            offsets=tuple(map(float, curves[:, 1])),
            error=_pooled(after),
            error_before=_pooled(before),
            n_groups=n_groups,
            student_sha256=student_sha256,
        )

    def __call__(self, probability: Tensor) -> Tensor:
        """Return calibrated probabilities (B, K, H, W) of such."""
        slopes, offsets = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (self.slopes, self.offsets))
        edge = float(expit(LOGITS[0]))
        return (probability.float().logit(eps=edge) * slopes + offsets).sigmoid()

    def summary(self) -> dict[str, Any]:
        """Return what ``metrics.json`` says."""
        return {"error_before": self.error_before, "error": self.error, "n_groups": self.n_groups}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PixelCalibration:
        """Return what ``to_json`` gave."""
        curves = {name: tuple(content[name]) for name in ("slopes", "offsets")}
        return cls(**{**content, **curves})


def count_logits(probability: Tensor, gold: Tensor, inside: Tensor) -> NDArray[np.int64]:
    """Count the pixels of one image by class, gold and logit: (K, 2, 369).

    Args:
        probability: (K, H, W) in [0, 1].
        gold: (K, H, W) of 0 and 1.
        inside: (H, W) bool, False in the padding.
    """
    logits = np.clip(probability.double().logit(eps=1e-6).numpy(), LOGITS[0], LOGITS[-1])
    bins = np.rint((logits - LOGITS[0]) / (LOGITS[1] - LOGITS[0])).astype(np.int64)
    counted = np.zeros((len(bins), 2, len(LOGITS)), dtype=np.int64)
    for number, (of_class, is_gold) in enumerate(zip(bins, gold.numpy() > 0, strict=True)):
        for side in (0, 1):
            chosen = of_class[inside.numpy() & (is_gold == bool(side))]
            counted[number, side] = np.bincount(chosen, minlength=len(LOGITS))
    return counted


def _curves(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slope and offset (K, 2) that make gold (N, K, 2, L) most likely."""
    return np.stack([_curve(shares[:, number].sum(axis=0)) for number in range(shares.shape[1])])


def _curve(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Platt's curve of one class, from pixels outside and inside gold (2, L), without a falling one."""

    def loss(curve: NDArray[np.float64]) -> float:
        z = curve[0] * LOGITS + curve[1]
        unlikely = shares[0] @ np.logaddexp(0, z) + shares[1] @ np.logaddexp(0, -z)
        return float(unlikely + _PRIOR * ((curve[0] - 1) ** 2 + curve[1] ** 2))

    return np.asarray(minimize(loss, [1.0, 0.0], method="L-BFGS-B", bounds=[(0.05, None), (None, None)]).x)


def _errors(shares: NDArray[np.float64], curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by class and bin of probability (K, 15, 3) pixels, their probability and those inside gold, as sums."""
    sums = np.zeros((len(curves), BINS, 3))
    for number, (slope, offset) in enumerate(curves):
        outside, inside = shares[:, number].sum(axis=0)
        p = expit(slope * LOGITS + offset)
        place = np.minimum((p * BINS).astype(int), BINS - 1)
        for column, weight in enumerate((outside + inside, (outside + inside) * p, inside)):
            sums[number, :, column] = np.bincount(place, weight, BINS)
    return sums


def _pooled(folds: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean over pixels of abs(probability - share of gold) of their bin, mean over classes."""
    sums = np.sum(folds, axis=0)
    gaps = np.abs(sums[..., 1] - sums[..., 2]).sum(axis=1) / sums[..., 0].sum(axis=1).clip(min=1e-12)
    return round(float(gaps.mean()), 5)


def expected_dice(mask: Tensor, probability: Tensor) -> float:
    """Return the Dice that a mask may expect, by the calibrated probability of its pixels; mean over classes.

    A thousandth of the image is added to both parts of the fraction, so that an empty mask where nothing is probable
    counts near 1.

    Args:
        mask: (K, H, W) bool.
        probability: (K, H, W) in [0, 1].
    """
    smooth = mask[0].numel() / 1000
    shared = (mask * probability).sum(dim=(1, 2))
    dice = (2 * shared + smooth) / (mask.sum(dim=(1, 2)) + probability.sum(dim=(1, 2)) + smooth)
    return float(dice.mean())
