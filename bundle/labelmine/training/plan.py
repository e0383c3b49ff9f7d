"""How students are trained: loss, optimizer, learning rate, augmentation, and whose weights are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import torch
from monai.inferers import Inferer, SimpleInferer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from labelmine.errors import ConfigError
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student
from labelmine.ranges import check_number
from labelmine.run.knobs import KeptEpoch, ScheduleName, StudentKnobs
from labelmine.training.precision import training_inferer
from labelmine.transforms import Augment


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How students are trained; both students of a mining run share it.

    Attributes:
        loss: Loss of logits and weighted targets.
        optimizer: Makes the optimizer from parameters, for example a partial ``torch.optim.Adam``.
        parameters: What of the student the optimizer is given: parameters, or groups of them.
        scheduler: Makes a schedule from the optimizer and the number of steps. ``ReduceLROnPlateau`` is stepped with
            the validation loss at each epoch's end, any other with each step.
        augment: Augmentation of training batches.
        strong_view: Strength of what pseudo-labelled images go through besides, see ``StrongView``; 0: nothing.
        inferer: How the network is applied to a batch.
        image_size: Side of the view in pixels, recorded with the student.
        small_share: Part of the epochs, the first ones, whose batches are shrunk, see ``SmallerAtFirst``.
        patience: Epochs without a lower validation loss after which training stops; None: it never stops early.
        keep_epoch: Which weights are kept: of the ``best`` validation Dice, the ``last``, or their moving ``average``.
        average_decay: Part of the moving average that stays at each step.
        seed: Seed of all randomness, with the epoch.
        device: Where to train; mixed precision on a GPU.
        tracking_uri: MLflow server, or ``sqlite:///FILE``; None: no MLflow.
        knobs: What else MLflow is told of the run.
    """

    loss: WeightedBCEDiceLoss
    optimizer: Callable[[Any], torch.optim.Optimizer]
    scheduler: Callable[[torch.optim.Optimizer, int], Any]
    parameters: Callable[[Student], Iterable[Any]] = Student.parameters
    augment: Augment | None = None
    strong_view: float = 0.0
    inferer: Inferer = field(default_factory=SimpleInferer)
    image_size: int = 224
    small_share: float = 0.0
    patience: int | None = 10
    keep_epoch: KeptEpoch = "best"
    average_decay: float = 0.99
    seed: int = 0
    device: str = "cpu"
    tracking_uri: str | None = None
    knobs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the knobs."""
        if self.patience is not None:
            check_number("patience", self.patience, 1, whole=True)
        check_number("strong_view", self.strong_view, 0, 1)
        check_number("small_share", self.small_share, 0, 1, open_high=True)
        if self.keep_epoch not in get_args(KeptEpoch):
            raise ConfigError(f"keep_epoch: expected 'best', 'last' or 'average'. Got: '{self.keep_epoch}'")

    @property
    def amp(self) -> bool:
        """Whether to train in mixed precision."""
        return torch.device(self.device).type == "cuda"


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, steps: int, name: ScheduleName
) -> ReduceLROnPlateau | LRScheduler:
    """Return how the learning rate goes.

    Args:
        optimizer: Whose rates are the largest of the schedule.
        steps: Of the optimizer, in the whole training.
        name: ``plateau``: halved after 3 epochs without a lower validation loss, down to 1e-7 (S1). ``cosine``: to 0,
            whatever validation says: with a handful of validation images their loss is noise. ``one_cycle``: up from a
            25th over the first three tenths, then to 0 along a cosine (Smith and Topin 2018).

    Raises:
        ConfigError: When ``name`` is none of the three.
    """
    if name not in get_args(ScheduleName):
        raise ConfigError(f"lr_schedule: expected 'plateau', 'cosine' or 'one_cycle'. Got: '{name}'")
    if name == "plateau":
        return ReduceLROnPlateau(optimizer, patience=3, factor=0.5, min_lr=1e-7)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    largest = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, largest, total_steps=steps + 1, cycle_momentum=False)


def student_plan(knobs: StudentKnobs, exclusive: bool, augment: Augment, **changes: Any) -> TrainingPlan:
    """Return the plan that the knobs describe: AdamW (without weight decay: Adam), weighted BCE and Dice.

    Args:
        knobs: Of the students.
        exclusive: Whether classes exclude each other.
        augment: Augmentation of training batches.
        changes: Attributes of ``TrainingPlan`` to be set otherwise.
    """
    plan = TrainingPlan(
        loss=WeightedBCEDiceLoss(exclusive=exclusive),
        optimizer=partial(torch.optim.AdamW, lr=knobs.learning_rate, weight_decay=knobs.weight_decay, fused=True),
        parameters=partial(encoder_apart, learning_rate=knobs.encoder_learning_rate),
        scheduler=partial(learning_rate_schedule, name=knobs.lr_schedule),
        augment=augment,
        inferer=training_inferer(knobs.device),
        image_size=knobs.image_size,
        small_share=knobs.small_share,
        patience=knobs.patience,
        keep_epoch=knobs.keep_epoch,
        average_decay=knobs.average_decay,
        seed=knobs.seed,
        device=knobs.device,
        tracking_uri=knobs.tracking_uri,
        knobs=knobs.model_dump(),
    )
    return replace(plan, **changes)


def encoder_apart(network: Student, learning_rate: float) -> list[dict[str, Any]]:
    """Return two groups of parameters: all but the encoder's, and the encoder's with a rate of their own."""
    encoder = list(network.network.encoder.parameters())
    of_encoder = {id(parameter) for parameter in encoder}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in of_encoder]
    return [{"params": rest}, {"params": encoder, "lr": learning_rate}]
