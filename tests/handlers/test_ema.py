"""The moving average against its definition, and through a checkpoint."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from labelmine.errors import ConfigError
from labelmine.handlers import EmaStudent


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())


def stepped(student: nn.Sequential, decay: float, steps: int) -> tuple[EmaStudent, list[torch.Tensor]]:
    """Run steps that change all parameters and running means; return the handler and the weights after each step."""
    weights = [student[0].weight.detach().clone()]

    def step(engine: Engine, batch: torch.Tensor) -> None:
        student.train()(batch)
        with torch.no_grad():
            student[0].weight += 0.1
        weights.append(student[0].weight.detach().clone())

    trainer = Engine(step)
    ema = EmaStudent(student, decay)
    ema.attach(trainer)
    trainer.run([torch.rand(2, 3, 8, 8) for _ in range(steps)])
    return ema, weights


def test_average_is_what_its_definition_says() -> None:
    ema, weights = stepped(network(), 0.9, 4)
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.9 * expected + 0.1 * weight
    assert torch.allclose(ema.ema_model[0].weight, expected, atol=1e-6)
    assert not ema.ema_model.training
    assert not any(p.requires_grad for p in ema.ema_model.parameters())
    assert (ema.ema_model[1].running_mean != 0).any(), "batch normalisation must be averaged too"


def test_average_survives_a_checkpoint() -> None:
    ema, _ = stepped(network(), 0.9, 3)
    again = EmaStudent(network(), 0.9)
    again.load_state_dict(ema.state_dict())
    for name, value in ema.ema_model.state_dict().items():
        assert torch.equal(again.ema_model.state_dict()[name], value), name


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_wrong_decay(decay: float) -> None:
    with pytest.raises(ConfigError, match=rf"ema_decay: expected a number in \(0, 1\), or 0 .*Got: {decay}"):
        EmaStudent(network(), decay)
