"""BCE + Dice under pixel weights, against a slow second computation pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.losses import WeightedBCEDiceLoss


def slow(logits: np.ndarray, label: np.ndarray, weight: np.ndarray, exclusive: bool, bce: float, dice: float) -> float:
    """The formula of the docstring for one image, in Python floats; the classes' mean by hand."""
    classes, height, width = label.shape
    entropy, overlap, total = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    shared, mass = 0.0, 0.0
    for y in range(height):
        for x in range(width):
            w, z, t = float(weight[0, y, x]), logits[:, y, x], label[:, y, x]
            if exclusive:
                p = [math.exp(v) / sum(math.exp(u) for u in z) for v in z]
                shared -= w * ((1 - t.sum()) * math.log(p[0]) + sum(t[k] * math.log(p[k + 1]) for k in range(classes)))
                p = p[1:]
            else:
                p = [1 / (1 + math.exp(-v)) for v in z]
            for k in range(classes):
                entropy[k] -= w * (t[k] * math.log(p[k]) + (1 - t[k]) * math.log(1 - p[k]))
                overlap[k] += w * p[k] * t[k]
                total[k] += w * (p[k] + t[k])
            mass += w
    ce = shared / mass if exclusive else float(entropy.mean()) / mass
    dices = [1 - (2 * overlap[k] + 1) / (total[k] + 1) for k in range(classes)]
    return (bce * ce + dice * sum(dices) / classes) * mass / (height * width)


def example(classes: int, exclusive: bool) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    logits = 2 * torch.randn(3, classes + int(exclusive), 6, 7, generator=generator)
    of_class = torch.randint(0, classes + 1, (3, 6, 7), generator=generator)
    label = torch.stack([of_class == k + 1 for k in range(classes)], 1).float()
    weight = torch.rand(3, 1, 6, 7, generator=generator) * (torch.rand(3, 1, 6, 7, generator=generator) > 0.3)
    return logits, label, weight


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(("bce", "dice"), [(1, 1), (0.5, 2), (0, 1), (1, 0)])
def test_loss_is_the_documented_formula(classes: int, exclusive: bool, bce: float, dice: float) -> None:
    logits, label, weight = example(classes, exclusive)
    loss = WeightedBCEDiceLoss(exclusive, bce, dice)
    target = torch.cat([label, weight], 1)
    expected = [
        slow(z.double().numpy(), t.numpy(), w.numpy(), exclusive, bce, dice)
        for z, t, w in zip(logits, label, weight, strict=True)
    ]
    np.testing.assert_allclose(loss.per_image(logits, target).numpy(), expected, rtol=2e-5)
    assert loss(logits, target).item() == pytest.approx(np.mean(expected), rel=2e-5)


@pytest.mark.parametrize("exclusive", [False, True])
def test_pixels_of_weight_0_get_no_gradient(exclusive: bool) -> None:
    logits, label, weight = example(2, exclusive)
    logits.requires_grad_()
    WeightedBCEDiceLoss(exclusive)(logits, torch.cat([label, weight], 1)).backward()
    assert logits.grad is not None
    ignored = (weight == 0).expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).any()


@pytest.mark.parametrize("exclusive", [False, True])
def test_an_image_that_abstains_costs_nothing(exclusive: bool) -> None:
    logits, label, weight = example(2, exclusive)
    weight[1] = 0
    logits.requires_grad_()
    per_image = WeightedBCEDiceLoss(exclusive).per_image(logits, torch.cat([label, weight], 1))
    per_image.sum().backward()
    assert per_image[1] == 0
    assert logits.grad is not None
    assert (logits.grad[1] == 0).all()


def test_weight_of_one_half_counts_half() -> None:
    logits, label, _ = example(1, False)
    full, half = (torch.cat([label, torch.full_like(label, w)], 1) for w in (1.0, 0.5))
    # Weights also stand in the Dice's ratio, where the smoothing 1 does not shrink with them: only nearly half, then.
    bce = WeightedBCEDiceLoss(dice=0)
    torch.testing.assert_close(bce(logits, half), bce(logits, full) / 2)
    both = WeightedBCEDiceLoss()
    assert both(logits, half).item() == pytest.approx(both(logits, full).item() / 2, rel=0.03)


def test_perfect_prediction_costs_next_to_nothing() -> None:
    _, label, _ = example(1, False)
    target = torch.cat([label, torch.ones_like(label)], 1)
    assert WeightedBCEDiceLoss()(40 * (label - 0.5), target) < 1e-6


def test_large_images_in_half_precision_do_not_overflow() -> None:
    label = torch.ones(1, 1, 256, 256)  # sums reach 131072, twice what half precision holds
    loss = WeightedBCEDiceLoss()(torch.full_like(label, 3).half(), torch.cat([label, label], 1).half())
    assert torch.isfinite(loss)


@pytest.mark.parametrize(("exclusive", "expected"), [(False, 2), (True, 3)])
def test_wrong_channels_are_refused(exclusive: bool, expected: int) -> None:
    with pytest.raises(
        ConfigError, match=f"exclusive: expected {expected} logit channels of . classes, being .*. Got: 5"
    ):
        WeightedBCEDiceLoss(exclusive)(torch.zeros(1, 5, 4, 4), torch.zeros(1, 3, 4, 4))
