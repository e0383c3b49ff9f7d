from __future__ import annotations

import random

import numpy as np
import torch
from ignite.engine import Engine

from labelmine.handlers import EpochSeed


class Listener:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002 (the global generator is meant)


def draws(seed: int, first: int, last: int) -> list[tuple[float, float, float]]:
    """What each epoch draws from Python, NumPy and torch when a run starts at epoch ``first``."""
    found: list[tuple[float, float, float]] = []
    engine = Engine(lambda engine, batch: found.append(draw()))
    EpochSeed(seed).attach(engine)
    engine.load_state_dict({"epoch": first - 1, "epoch_length": 1, "max_epochs": last})
    engine.run([0], max_epochs=last)
    return found


def test_an_epoch_draws_the_same_wherever_the_run_started() -> None:
    whole = draws(seed=3, first=1, last=4)
    assert draws(seed=3, first=3, last=4) == whole[2:]
    assert len(set(whole)) == 4
    assert not set(draws(seed=4, first=1, last=4)) & set(whole)


def test_given_objects_hear_of_each_epoch() -> None:
    one, two = Listener(), Listener()
    engine = Engine(lambda engine, batch: None)
    EpochSeed(0, [one, two]).attach(engine)
    engine.run([0], max_epochs=3)
    assert one.epochs == two.epochs == [1, 2, 3]


def test_large_seeds_fit() -> None:
    assert draws(seed=2**31, first=1, last=1) == draws(seed=2**31, first=1, last=1)
