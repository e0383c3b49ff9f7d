"""What speaks for or against a label whose gold no one has seen.

Every signal lies in [0, 1] and is higher for better labels, so that whatever is learnt from them may be monotone. A
labeler adds what only it knows (``predicted_iou``, ``stability``, ``jitter``, ``vote_share``, ``recorded_score``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from skimage.measure import label as connected_components
from torch import Tensor


@dataclass(frozen=True)
class AreaRange:
    """How large objects are in gold: per class the smallest and largest fraction of the view that a mask covers.

    Attributes:
        low: (K,) fractions; 0 for a class that gold does not show.
        high: (K,) fractions; 1 for such a class.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, masks: Iterable[Tensor]) -> AreaRange:
        """Return the range in gold masks (K, H, W), empty ones left out."""
        areas = torch.stack([mask.float().mean((-2, -1)) for mask in masks])
        shown = areas > 0
        low = torch.where(shown, areas, torch.inf).amin(0)
        high = torch.where(shown, areas, -torch.inf).amax(0)
        known = shown.any(0)
        return cls(
            tuple(torch.where(known, low, torch.zeros_like(low)).tolist()),
            tuple(torch.where(known, high, torch.ones_like(high)).tolist()),
        )

    def fit(self, mask: Tensor) -> Tensor:
        """Return (B,): 1 within the range, ``area / low`` below and ``high / area`` above; the worst class counts.

        Args:
            mask: (B, K, H, W) thresholded labels; an empty class does not count.
        """
        area = mask.float().mean((-2, -1))
        low, high = torch.tensor(self.low).to(area), torch.tensor(self.high).to(area)
        fit = torch.minimum(area / low.clamp(min=1e-9), high / area.clamp(min=1e-9)).clamp(max=1)
        return torch.where(area > 0, fit, torch.ones_like(fit)).amin(1)


def label_signals(label: Tensor, probability: Tensor, area_range: AreaRange | None = None) -> dict[str, Tensor]:
    r"""Return the signals of labels, each (B,) float32.

    - ``student_dice``: Dice of the label and the student's thresholded mask;
    - ``student_overlap``: soft Dice :math:`2 \sum m p / (\sum m + \sum p)`, the overlap that the student's own
      probabilities lead one to expect;
    - ``certainty``: 1 - the student's mean binary entropy (in bits) over the pixels of either mask;
    - ``compactness``: 1 / number of connected components per class that is shown, mean over classes;
    - ``area_fit``: see ``AreaRange.fit``; only with ``area_range``.

    Args:
        label: (B, K, H, W) in [0, 1], thresholded at 0.5.
        probability: (B, K, H, W) probabilities of the student, 0 in the padding.
        area_range: How large objects are in gold.

    Example:
        >>> mask = torch.zeros(1, 1, 8, 8); mask[..., 2:6, 2:6] = 1
        >>> {name: round(float(value), 2) for name, value in label_signals(mask, 0.5 * mask + 0.25).items()}
        {'student_dice': 1.0, 'student_overlap': 0.6, 'certainty': 0.19, 'compactness': 1.0}
    """
    mask = label > 0.5
    signals = {
        "student_dice": agreement(label, probability),
        "student_overlap": _soft_dice(mask, probability),
        "certainty": _certainty(mask, probability),
        "compactness": _compactness(mask),
    }
    if area_range is not None:
        signals["area_fit"] = area_range.fit(mask)
    return signals


def agreement(a: Tensor, b: Tensor) -> Tensor:
    """Return the Dice (B,) of two thresholded masks (B, K, H, W), mean over classes; 1 where both are empty."""
    return class_dice(a, b).mean(1)


def class_dice(a: Tensor, b: Tensor) -> Tensor:
    """Return the Dice (B, K) of two thresholded masks (B, K, H, W); 1 where both are empty."""
    first, second = a > 0.5, b > 0.5
    total = (first.sum((-2, -1)) + second.sum((-2, -1))).float()
    dice = 2 * (first & second).sum((-2, -1)) / total.clamp(min=1)
    return torch.where(total > 0, dice, torch.ones_like(dice))


def _soft_dice(mask: Tensor, probability: Tensor) -> Tensor:
    total = mask.sum((-2, -1)) + probability.sum((-2, -1))
    overlap = 2 * (mask * probability).sum((-2, -1)) / total.clamp(min=1e-6)
    return torch.where(total > 0, overlap, torch.ones_like(overlap)).mean(1)


def _certainty(mask: Tensor, probability: Tensor) -> Tensor:
    p = probability.clamp(1e-6, 1 - 1e-6)
    entropy = (-p * p.log2() - (1 - p) * (1 - p).log2()).amax(1)
    either = (mask | (probability > 0.5)).any(1)
    return 1 - (entropy * either).sum((-2, -1)) / either.sum((-2, -1)).clamp(min=1)


def _compactness(mask: Tensor) -> Tensor:
    counts = torch.tensor(
        [[int(connected_components(c, connectivity=2).max()) for c in image] for image in mask.cpu().numpy()],
        dtype=torch.float32,
    ).reshape(mask.shape[:2])
    shown = counts > 0
    score = (shown / counts.clamp(min=1)).sum(1) / shown.sum(1).clamp(min=1)
    return score.to(mask.device)


def as_table(signals: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Return signals as float64 arrays, which tables and scikit-learn take."""
    return {name: value.detach().double().cpu().numpy() for name, value in signals.items()}
