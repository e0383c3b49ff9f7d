"""The contrastive loss and its accuracy against a slow re-computation of NT-Xent, pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelmine.errors import ConfigError
from labelmine.pretrain import PartnerContrast, partner_similarities


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def slow_nt_xent(rows: np.ndarray, temperature: float) -> float:
    """Equation 1 of Chen et al. 2020, averaged over all 2B ordered pairs of partners."""
    n = len(rows)
    losses = []
    for i in range(n):
        j = (i + n // 2) % n
        others = sum(np.exp(cosine(rows[i], rows[k]) / temperature) for k in range(n) if k != i)
        losses.append(-np.log(np.exp(cosine(rows[i], rows[j]) / temperature) / others))
    return float(np.mean(losses))


def partners(n: int) -> torch.Tensor:
    return torch.arange(n).roll(n // 2)


@pytest.mark.parametrize("temperature", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("images", [2, 5])
def test_loss_is_nt_xent(images: int, temperature: float) -> None:
    rows = torch.randn(2 * images, 7, generator=torch.Generator().manual_seed(images))
    expected = slow_nt_xent(rows.double().numpy(), temperature)
    assert PartnerContrast(temperature)(rows, partners(2 * images)).item() == pytest.approx(expected, rel=1e-4)


def test_loss_of_half_precision_rows_is_taken_in_full_precision() -> None:
    rows = torch.randn(8, 7, generator=torch.Generator().manual_seed(0)).half()
    loss = PartnerContrast(0.05)(rows, partners(8))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(slow_nt_xent(rows.double().numpy(), 0.05), rel=1e-4)


def test_choice_of_a_partner_is_the_nearest_other_row() -> None:
    rows = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    array = rows.double().numpy()
    expected = [max((k for k in range(12) if k != i), key=lambda k: cosine(array[i], array[k])) for i in range(12)]
    assert partner_similarities(rows).argmax(1).tolist() == expected
    assert partner_similarities(torch.eye(3).repeat(2, 1)).argmax(1).tolist() == partners(6).tolist()


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.01, float("nan")])
def test_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match=rf"temperature: expected a number of 0.02 or more, .* Got: {temperature}"):
        PartnerContrast(temperature)
