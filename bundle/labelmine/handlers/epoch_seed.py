"""Randomness that a resumed run repeats: everything is seeded anew at the start of each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ignite.engine import Engine, Events
from monai.utils import set_determinism


class Seedable(Protocol):
    """Anything with randomness of its own."""

    def set_epoch(self, epoch: int) -> None:
        """Seed from the epoch's number."""
        ...


class EpochSeed:
    """Seed Python, NumPy and torch, and every given object, from ``(seed, epoch)`` at the start of each epoch.

    Samplers that draw from torch's global generator then give the same batches in epoch n, whether the run started
    there or at epoch 1.

    Args:
        seed: Seed of the run.
        seedables: Objects with randomness of their own, for example a ``BatchAugment``.
    """

    def __init__(self, seed: int = 0, seedables: Sequence[Seedable] = ()) -> None:
        """Keep what to seed."""
        self.seed = seed
        self.seedables = tuple(seedables)

    def attach(self, engine: Engine) -> None:
        """Seed at the start of each epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the epoch that ``engine`` has just started."""
        set_determinism(seed=(self.seed * 1_000_003 + engine.state.epoch) % 2**32)
        for seedable in self.seedables:
            seedable.set_epoch(engine.state.epoch)
