"""The loss of a promptable teacher, against a second computation in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelmine.losses import PromptableLoss


def test_loss_is_bce_and_dice_and_the_squared_error_of_the_iou() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 5, 6, generator=generator)
    gold = (torch.rand(3, 1, 5, 6, generator=generator) > 0.5).float()
    predicted = torch.rand(3, generator=generator)
    z, y = logits.double().numpy(), gold[:, 0].double().numpy()
    p = 1 / (1 + np.exp(-z))
    bce = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    dices, errors = [], []
    for n in range(3):
        dices.append(1 - (2 * (p[n] * y[n]).sum() + 1) / (p[n].sum() + y[n].sum() + 1))
        iou = ((z[n] > 0) & (y[n] > 0)).sum() / ((z[n] > 0) | (y[n] > 0)).sum()
        errors.append((float(predicted[n]) - iou) ** 2)
    expected = bce + np.mean(dices) + np.mean(errors)
    assert PromptableLoss()((logits, predicted), gold).item() == pytest.approx(expected, rel=1e-5)


def test_gradients_reach_masks_and_iou_apart() -> None:
    logits = torch.randn(2, 4, 4, requires_grad=True)
    predicted = torch.rand(2, requires_grad=True)
    PromptableLoss()((logits, predicted), torch.ones(2, 1, 4, 4)).backward()
    assert logits.grad is not None
    assert predicted.grad is not None
    iou = (logits.detach() > 0).float().mean((1, 2))
    torch.testing.assert_close(predicted.grad, predicted.detach() - iou)  # 2 (p - iou) / N with N = 2


def test_a_batch_without_objects_teaches_nothing() -> None:
    loss = PromptableLoss()((torch.zeros(0, 4, 4), torch.zeros(0)), torch.zeros(0, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0


def test_nothing_asked_and_nothing_answered_is_right() -> None:
    loss = PromptableLoss()((torch.full((1, 4, 4), -20.0), torch.ones(1)), torch.zeros(1, 1, 4, 4))
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_half_precision_answers_are_computed_in_full() -> None:
    gold = torch.ones(1, 1, 512, 512)
    loss = PromptableLoss()((torch.full((1, 512, 512), 5.0, dtype=torch.bfloat16), torch.ones(1)), gold)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.0067 + 0.0034, abs=1e-3)
