"""The loss that trains a promptable teacher: masks by BCE and Dice, the predicted IoU by its squared error."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PromptableLoss(nn.Module):
    """BCE + Dice of the masks, plus the squared error of the predicted IoU (as in Kirillov et al. 2023, section A).

    SAM weighs focal loss 20 to 1; BCE with Dice at equal weight is our choice for few, well-separated objects.
    """

    def forward(self, answer: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return a scalar from ``(logits (N, H, W), predicted IoU (N,))`` and gold masks ``target`` (N, 1, H, W).

        A batch without objects, N = 0, teaches nothing: its loss is 0.
        """
        if not len(target):
            return torch.zeros((), device=target.device, requires_grad=True)
        logits, predicted_iou = answer[0].float(), answer[1].float()
        gold = target[:, 0]
        probability = logits.sigmoid()
        overlap = (probability * gold).sum((-2, -1))
        dice = (2 * overlap + 1) / (probability.sum((-2, -1)) + gold.sum((-2, -1)) + 1)
        loss = F.binary_cross_entropy_with_logits(logits, gold) + (1 - dice).mean()
        return loss + F.mse_loss(predicted_iou, _iou(logits.detach() > 0, gold > 0.5))


def _iou(mask: Tensor, gold: Tensor) -> Tensor:
    union = (mask | gold).sum((-2, -1))
    return torch.where(
        union > 0, (mask & gold).sum((-2, -1)) / union.clamp(min=1), torch.ones_like(union, dtype=torch.float32)
    )
