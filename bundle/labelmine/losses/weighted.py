"""BCE (or cross-entropy) and Dice under a weight per pixel, so that uncertain pixels can abstain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmine.errors import ConfigError
from labelmine.ranges import check_number


class WeightedBCEDiceLoss(nn.Module):
    r"""The loss of S1 (BCE + Dice) with pixel weights, for gold and pseudo labels in one batch.

    For an image with weights :math:`w`, probabilities :math:`p` and label :math:`y` it is

    .. math:: \bar w \left( \lambda_{bce} \frac{\sum w\,\mathrm{bce}(p, y)}{\sum w}
              + \lambda_{dice} \left(1 - \frac{2 \sum w p y + 1}{\sum w p + \sum w y + 1}\right) \right)

    averaged over classes and over the images of the batch. The mean weight :math:`\bar w` in front makes a pseudo label
    of weight 0.5 count half as much as gold, and an image that abstains count nothing. S1's weights of BCE and Dice are
    not stated; 1 and 1 are our choice.

    Args:
        exclusive: Softmax cross-entropy over background and K classes instead of BCE per class.
        bce: Weight of BCE.
        dice: Weight of Dice.

    Example:
        >>> loss = WeightedBCEDiceLoss()
        >>> label, weight = torch.ones(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
        >>> loss(torch.zeros(2, 1, 8, 8), torch.cat([label, weight], 1)).item()
        0.0
    """

    def __init__(self, exclusive: bool = False, bce: float = 1.0, dice: float = 1.0) -> None:
        """Check and keep the knobs."""
        super().__init__()
        check_number("bce", bce, 0)
        check_number("dice", dice, 0)
        self.exclusive = exclusive
        self.bce = bce
        self.dice = dice

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the batch of ``per_image``, a scalar."""
        return self.per_image(logits, target).mean()

    def per_image(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each image (B,).

        Args:
            logits: (B, K, H, W), or (B, 1 + K, H, W) with background first when exclusive.
            target: (B, K + 1, H, W): K label channels in [0, 1], then the weight in [0, 1].

        Raises:
            ConfigError: When the channels of logits and target do not match.
        """
        # Sums over an image overflow half precision, should the logits come in it.
        logits, target = logits.float(), target.float()
        label, weight = target[:, :-1], target[:, -1:]
        if logits.shape[1] != label.shape[1] + int(self.exclusive):
            expected = f"{label.shape[1] + int(self.exclusive)} logit channels of {label.shape[1]} classes"
            raise ConfigError(f"exclusive: expected {expected}, being {self.exclusive}. Got: {logits.shape[1]}")
        if self.exclusive:
            label = torch.cat([1 - label.sum(1, keepdim=True).clamp(max=1), label], dim=1)
            bce = -(label * logits.log_softmax(1)).sum(1, keepdim=True)
            probability, label = logits.softmax(1)[:, 1:], label[:, 1:]
        else:
            bce = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
            probability = logits.sigmoid()
        space = (-2, -1)
        total = weight.sum(space).clamp(min=1e-6)
        cross_entropy = (weight * bce).sum(space) / total
        overlap = (weight * probability * label).sum(space)
        dice = 1 - (2 * overlap + 1) / ((weight * (probability + label)).sum(space) + 1)
        per_image = self.bce * cross_entropy.mean(1) + self.dice * dice.mean(1)
        return per_image * weight.mean((1, 2, 3))
