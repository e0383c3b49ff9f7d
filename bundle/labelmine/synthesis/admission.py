"""Which made images may join the training set: those that student and teacher agree with, and that are no copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labelmine.ranges import check_number
from labelmine.synthesis.likeness import nearest_distance


@dataclass(frozen=True)
class Admission:
    """The verdict on made images.

    Attributes:
        accepted: (N,) bool.
        reason: N texts, empty where accepted.
        agreement: (N,) the lower of the student's and the teacher's Dice with the mask, in [0, 1].
        distance: (N,) to the nearest real training image in feature space.
        copy_limit: Distance below which an image counts as a copy.
    """

    accepted: Tensor
    reason: list[str]
    agreement: Tensor
    distance: Tensor
    copy_limit: float


def admit(
    masks: Tensor | None,
    opinions: Mapping[str, Tensor],
    features: Tensor,
    real_features: Tensor,
    min_agreement: float = 0.7,
    copy_quantile: float = 0.05,
) -> Admission:
    """Examine made images.

    Args:
        masks: (N, K, H, W) of 0 and 1: the masks that were made, or drawn on; None where there are none: then only
            copies are rejected.
        opinions: What student and teacher see in the images, (N, K, H, W) in [0, 1], by name.
        features: (N, D) features of the made images.
        real_features: (M, D) of the gold that the generator was trained on.
        min_agreement: Dice with the mask that every opinion must reach.
        copy_quantile: A made image nearer to a real one than this quantile of real ones' distances to their nearest
            real neighbour is a copy.

    Raises:
        ConfigError: When a knob is out of range.
    """
    for name, value in (("min_agreement", min_agreement), ("copy_quantile", copy_quantile)):
        check_number(name, value, 0, 1)
    dice = {name: dice_with(masks, opinion) for name, opinion in opinions.items()} if masks is not None else {}
    agreement = torch.stack(list(dice.values())).amin(0) if dice else torch.ones(len(features))
    drawn = masks.flatten(1).any(1) if masks is not None else torch.ones(len(features), dtype=torch.bool)
    distance = nearest_distance(features, real_features)
    limit = float(torch.quantile(nearest_distance(real_features, real_features, itself=True), copy_quantile))
    reasons = [
        _reason({n: float(d[i]) for n, d in dice.items()}, bool(drawn[i]), float(distance[i]), limit, min_agreement)
        for i in range(len(features))
    ]
    return Admission(torch.tensor([not r for r in reasons]), reasons, agreement, distance, limit)


def dice_with(masks: Tensor, opinions: Tensor) -> Tensor:
    """Dice (N,) of thresholded opinions with masks over all classes; 1 where both are empty."""
    seen = (opinions > 0.5).flatten(1).float()
    drawn = (masks > 0.5).flatten(1).float()
    total = (seen + drawn).sum(1)
    return torch.where(total > 0, 2 * (seen * drawn).sum(1) / total.clamp(min=1), torch.ones_like(total))


def _reason(dice: Mapping[str, float], drawn: bool, distance: float, limit: float, min_agreement: float) -> str:
    if not drawn:
        return "its mask is empty"
    if distance < limit:
        return "a copy of a training image"
    name = min(dice, key=lambda opinion: dice[opinion], default="")
    if name and dice[name] < min_agreement:
        return f"{name} sees another lesion"
    return ""
