"""How students are trained: loss, optimizer, learning rate, augmentation, and whose weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from monai.inferers import Inferer, SimpleInferer
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from labelmine.errors import ConfigError
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.ranges import check_number
from labelmine.run.knobs import StudentKnobs
from labelmine.transforms import BatchAugment


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How students are trained; both students of a mining run share it.

    Attributes:
        loss: Loss of logits and weighted targets.
        optimizer: Makes the optimizer from parameters, for example a partial ``torch.optim.Adam``.
        scheduler: Makes a schedule from the optimizer; it is stepped with the validation loss.
        augment: Augmentation of training batches.
        strong_view: Strength of what pseudo-labelled images go through besides, see ``StrongView``; 0: nothing.
        inferer: How the network is applied to a batch.
        image_size: Side of the view in pixels, recorded with the student.
        patience: Epochs without a lower validation loss after which training stops.
        keep_epoch: Whose weights are kept: of the ``best`` validation Dice, or the ``last``.
        seed: Seed of all randomness, with the epoch.
        device: Where to train; mixed precision on a GPU.
        tracking_uri: MLflow server or folder; None: no MLflow.
    """

    loss: WeightedBCEDiceLoss
    optimizer: Callable[[Any], torch.optim.Optimizer]
    scheduler: Callable[[torch.optim.Optimizer], Any]
    augment: BatchAugment | None = None
    strong_view: float = 0.0
    inferer: Inferer = field(default_factory=SimpleInferer)
    image_size: int = 224
    patience: int = 10
    keep_epoch: Literal["best", "last"] = "best"
    seed: int = 0
    device: str = "cpu"
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        """Check the knobs."""
        check_number("patience", self.patience, 1, whole=True)
        check_number("strong_view", self.strong_view, 0, 1)
        if self.keep_epoch not in ("best", "last"):
            raise ConfigError(f"keep_epoch: expected 'best' or 'last'. Got: '{self.keep_epoch}'")

    @property
    def amp(self) -> bool:
        """Whether to train in mixed precision."""
        return torch.device(self.device).type == "cuda"


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, name: Literal["plateau", "cosine"], max_epochs: int
) -> ReduceLROnPlateau | CosineAnnealingLR:
    """Return how the learning rate falls from epoch to epoch.

    Args:
        optimizer: Whose rate it is.
        name: ``plateau``: halved after 3 epochs without a lower validation loss, down to 1e-7 (S1). ``cosine``: to 0
            over ``max_epochs``, whatever validation says: with a handful of validation images their loss is noise.
        max_epochs: Epochs of the training.

    Raises:
        ConfigError: When ``name`` is none of the two.
    """
    if name not in ("plateau", "cosine"):
        raise ConfigError(f"lr_schedule: expected 'plateau' or 'cosine'. Got: '{name}'")
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=max_epochs)
    return ReduceLROnPlateau(optimizer, patience=3, factor=0.5, min_lr=1e-7)


def adam_plan(knobs: StudentKnobs, exclusive: bool, augment: BatchAugment, **changes: Any) -> TrainingPlan:
    """Return the plan of S1: Adam without weight decay, weighted BCE and Dice.

    Args:
        knobs: Of the students.
        exclusive: Whether classes exclude each other.
        augment: Augmentation of training batches.
        changes: Attributes of ``TrainingPlan`` to be set otherwise.
    """
    plan = TrainingPlan(
        loss=WeightedBCEDiceLoss(exclusive=exclusive),
        optimizer=partial(torch.optim.Adam, lr=knobs.learning_rate),
        scheduler=partial(learning_rate_schedule, name=knobs.lr_schedule, max_epochs=knobs.max_epochs),
        augment=augment,
        image_size=knobs.image_size,
        patience=knobs.patience,
        keep_epoch=knobs.keep_epoch,
        seed=knobs.seed,
        device=knobs.device,
        tracking_uri=knobs.tracking_uri,
    )
    return replace(plan, **changes)
