"""SimCLR's task: find the other view of the same image among all views of a batch.

A batch of B images is 2B rows: row i and row i + B show the same image and are partners.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from monai.losses import ContrastiveLoss
from torch import Tensor, nn

from labelmine.ranges import check_number

LOWEST_TEMPERATURE = 0.02  # MONAI's loss takes exp(similarity / temperature) as it is: float32 ends at exp(88)


class PartnerContrast(nn.Module):
    """MONAI's ``ContrastiveLoss`` (NT-Xent, equation 1 of Chen et al. 2020, arXiv 2002.05709) on rows of partners.

    Args:
        temperature: Divides cosine similarities; lower: the nearest wrong images count more.

    Raises:
        ConfigError: When the temperature is lower than 0.02.

    Example:
        >>> PartnerContrast(0.1)(torch.eye(4), torch.tensor([2, 3, 0, 1])).item() > 1  # no row resembles its partner
        True
    """

    def __init__(self, temperature: float = 0.1) -> None:
        """Check the temperature."""
        super().__init__()
        check_number("temperature", temperature, LOWEST_TEMPERATURE, hint="for example 0.1 (lower ones overflow)")
        self.loss = ContrastiveLoss(temperature)

    def forward(self, projections: Tensor, partners: Tensor) -> Tensor:
        """Return the mean loss of (2B, F) projections; ``partners``, the trainer's label, follows from their order."""
        first, second = projections.float().chunk(2)
        loss: Tensor = self.loss(first, second)
        return loss


def partner_similarities(projections: Tensor) -> Tensor:
    """Return cosine similarities (2B, 2B) of projections (2B, F), -inf on the diagonal: the row's choice of a partner.

    The highest entry of row i is the answer to "which row shows the same image as row i?".
    """
    unit = F.normalize(projections.float(), dim=1)
    return (unit @ unit.T).fill_diagonal_(-torch.inf)
