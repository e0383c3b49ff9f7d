"""The one way to build a trainer: MONAI's, with seeded epochs, a curve, TensorBoard, and resuming by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import TensorBoardStatsHandler
from torch import Tensor, nn

from labelmine.handlers import EpochSeed, History, Resume, StageProgress
from labelmine.run.files import CHECKPOINT_FILE, HISTORY_FILE
from labelmine.training.parallel import RANK_STRIDE


@dataclass(frozen=True, kw_only=True)
class TrainerParts:
    """What a trainer trains, and with what.

    Attributes:
        network: What is trained, as its state is kept.
        loader: Batches; its length is that of an epoch.
        optimizer: Of the network.
        scheduler: Of the optimizer; who steps it is the caller's affair.
        loss: Called with the network's answer and the target.
        prepare_batch: MONAI's; its ``set_epoch`` is called before each epoch.
        max_epochs: Epochs.
        folder: Where ``checkpoint.pt``, ``history.csv`` and TensorBoard's files go.
        seed: Seed of all randomness, with the epoch and the rank.
        device: Where to train.
        engine: Further arguments of MONAI's ``SupervisedTrainer``.
    """

    network: nn.Module
    loader: DataLoader
    optimizer: torch.optim.Optimizer
    scheduler: Any
    loss: Callable[..., Tensor]
    prepare_batch: Any
    max_epochs: int
    folder: Path
    seed: int = 0
    device: torch.device | str = "cpu"
    engine: Mapping[str, Any] = field(default_factory=dict)


def new_trainer(parts: TrainerParts) -> SupervisedTrainer:
    """Return MONAI's trainer of these parts, still without handlers."""
    arguments = {
        "device": torch.device(parts.device),
        "max_epochs": parts.max_epochs,
        "train_data_loader": parts.loader,
        "network": parts.network,
        "optimizer": parts.optimizer,
        "loss_function": parts.loss,
        "prepare_batch": parts.prepare_batch,
        "decollate": False,
        "optim_set_to_none": True,  # a zero left of earlier steps would move a weight on, but not in a resumed run
    }
    return SupervisedTrainer(**{**arguments, **parts.engine})


def equip(
    trainer: SupervisedTrainer,
    parts: TrainerParts,
    handlers: Sequence[Any],
    state: Mapping[str, Any],
    evaluator: Engine | None = None,
    first: Sequence[Any] = (),
    shown: Sequence[str] = (),
    explain: Callable[[Engine, BaseException], None] | None = None,
    needed: Sequence[Path] = (),
) -> SupervisedTrainer:
    """Attach what every training needs, so that it goes on where a killed one stopped; return the trainer.

    Args:
        trainer: As ``new_trainer`` made it.
        parts: Of the trainer.
        handlers: Attached after the epoch is seeded, and before curve and checkpoint are written.
        state: What a checkpoint holds besides network, optimizer, scheduler and curve.
        evaluator: Whose metrics the curve shows; None: the trainer's own.
        first: Handlers that come before all others.
        shown: Metrics that stand beside the loss while it trains.
        explain: Raises a clearer error in place of one that ended the training.
        needed: See ``Resume``.
    """
    history = History(parts.folder / HISTORY_FILE, evaluator or trainer, parts.optimizer)
    kept = {"network": parts.network, "optimizer": parts.optimizer, "scheduler": parts.scheduler, "history": history}
    stage_progress = StageProgress(parts.folder.name, shown, evaluator)
    if explain is not None:  # before the progress, which raises an error as it is
        trainer.add_event_handler(Events.EXCEPTION_RAISED, stage_progress.close)
        trainer.add_event_handler(Events.EXCEPTION_RAISED, explain)
    for handler in (
        *first,
        EpochSeed(parts.seed + RANK_STRIDE * idist.get_rank(), [parts.prepare_batch]),
        *handlers,
        history,
        *_tensorboard(parts.folder, evaluator),
        stage_progress,
        Resume(parts.folder / CHECKPOINT_FILE, {**kept, **state}, needed),
    ):
        handler.attach(trainer)
    return trainer


def loss_of(output: Mapping[str, Tensor]) -> float:
    """Return the loss of a step."""
    return output["loss"].item()


def _tensorboard(folder: Path, evaluator: Engine | None) -> list[Any]:
    """The first rank reports for all."""
    if idist.get_rank() > 0:
        return []
    curves = {"epoch_event_writer": _curves(evaluator)} if evaluator is not None else {}
    return [TensorBoardStatsHandler(log_dir=str(folder / "tensorboard"), output_transform=loss_of, **curves)]


def _curves(evaluator: Engine) -> Callable[[Engine, Any], None]:
    """Return TensorBoard's writer of the validation metrics."""

    def write(engine: Engine, writer: Any) -> None:
        for name, value in evaluator.state.metrics.items():
            writer.add_scalar(name, value, engine.state.epoch)

    return write
