"""Training a student: MONAI's evaluator and trainer, wired as S1 trains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import IgniteMetricHandler, LrScheduleHandler, ValidationHandler
from monai.metrics import DiceMetric, LossMetric
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DistributedSampler

from labelmine.errors import ConfigError
from labelmine.handlers import EmaStudent, KeepBest
from labelmine.networks import Student, probabilities
from labelmine.ranges import check_number
from labelmine.run.files import BEST_FILE
from labelmine.training.batches import PrepareStudentBatch
from labelmine.training.parallel import MeanStatistics, agree_on_metrics, data_parallel
from labelmine.training.plan import TrainingPlan
from labelmine.training.tracking import Tracking
from labelmine.training.trainer import TrainerParts, equip, new_trainer
from labelmine.transforms import SmallerAtFirst, StrongView


def student_evaluator(plan: TrainingPlan, network: Student, loader: DataLoader) -> SupervisedEvaluator:
    """Return an evaluator with ``val_dice`` and ``val_loss`` over views, padding left out, mean over images."""

    def thresholded(output: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        inside = output["label"][:, -1:] > 0
        mask = (probabilities(output["pred"], network.exclusive) > 0.5) & inside
        return mask.float(), output["label"][:, :-1] * inside

    def per_image(logits: Tensor, target: Tensor) -> Tensor:
        return plan.loss.per_image(logits, target)[:, None]

    def raw(output: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return output["pred"].float(), output["label"]

    return SupervisedEvaluator(
        device=torch.device(plan.device),
        val_data_loader=loader,
        network=network,
        inferer=plan.inferer,
        prepare_batch=PrepareStudentBatch(),
        key_val_metric={"val_dice": IgniteMetricHandler(DiceMetric(ignore_empty=False), output_transform=thresholded)},
        additional_metrics={"val_loss": IgniteMetricHandler(LossMetric(per_image), output_transform=raw)},
        decollate=False,
        amp=plan.amp,
    )


def student_trainer(
    plan: TrainingPlan,
    network: Student,
    loader: DataLoader,
    val_loader: DataLoader,
    max_epochs: int,
    folder: str | Path,
    handlers: Sequence[Any] = (),
) -> SupervisedTrainer:
    """Return a trainer that validates each epoch, keeps a student, may stop early, and resumes by default.

    Several ranks (see ``labelmine.ranks``) train one student together. Each validates all of it, as that is little.

    Args:
        plan: How to train.
        network: The student.
        loader: Training batches; labels of unlabelled rows are filled in by one of ``handlers``.
        val_loader: Batches of validation gold.
        max_epochs: Epochs at most.
        folder: Where ``best.safetensors``, ``checkpoint.pt``, ``history.csv`` and TensorBoard's files go.
        handlers: Further handlers, attached first; those with a ``state_dict`` are part of the checkpoint.

    Raises:
        ConfigError: When a knob is out of its range.
    """
    check_number("max_epochs", max_epochs, 1, whole=True)
    parts = _parts(plan, network, loader, max_epochs, Path(folder))
    average = [EmaStudent(network, plan.average_decay, warm_up=True)] if plan.keep_epoch == "average" else []
    kept: Student = average[0].ema_model if average else network
    evaluator = student_evaluator(plan, kept, val_loader)
    best = KeepBest(
        kept,
        parts.folder / BEST_FILE,
        metadata={"image_size": plan.image_size},
        latest=plan.keep_epoch != "best",
    )
    trainer = new_trainer(parts)
    evaluator.add_event_handler(Events.COMPLETED, agree_on_metrics)
    best.attach(evaluator)
    state: dict[str, Any] = {"best": best}
    if plan.patience is not None:
        state["early"] = _early_stopping(plan.patience, trainer, evaluator)
    validating = [
        ValidationHandler(interval=1, validator=evaluator, epoch_level=True),
        _lr_handler(parts.scheduler, evaluator),
        *_tracking(plan, parts.folder, evaluator),
    ]
    if average:
        state["average"] = average[0]
    state |= {type(handler).__name__: handler for handler in handlers if hasattr(handler, "state_dict")}
    first = [MeanStatistics(network), *average, *handlers]
    needed = [] if best.latest else [best.path]
    equip(trainer, parts, validating, state, evaluator, first, shown=["val_dice"], needed=needed)
    trainer.add_event_handler(Events.STARTED, best.restore)  # after the checkpoint was loaded
    return trainer


def _early_stopping(patience: int, trainer: Engine, evaluator: Engine) -> EarlyStopping:
    early = EarlyStopping(patience, lambda engine: -engine.state.metrics["val_loss"], trainer)
    early.logger.setLevel(logging.WARNING)  # the progress tells of it
    evaluator.add_event_handler(Events.COMPLETED, early)
    return early


def _parts(plan: TrainingPlan, network: Student, loader: DataLoader, max_epochs: int, folder: Path) -> TrainerParts:
    if isinstance(loader.sampler, DistributedSampler):
        loader.sampler.seed = plan.seed
    strong = StrongView(plan.strong_view, plan.seed) if plan.strong_view else None
    small_epochs = round(plan.small_share * max_epochs)
    smaller = SmallerAtFirst(small_epochs) if small_epochs else None
    optimizer = _optimizer(plan, network)
    parallel = data_parallel(network, torch.device(plan.device))
    return TrainerParts(
        network=network,
        loader=loader,
        optimizer=optimizer,
        scheduler=plan.scheduler(optimizer, max_epochs * len(loader)),
        loss=plan.loss,
        prepare_batch=PrepareStudentBatch(plan.augment, strong, smaller),
        max_epochs=max_epochs,
        folder=folder,
        seed=plan.seed,
        device=plan.device,
        engine={"network": parallel, "inferer": plan.inferer, "amp": plan.amp},
    )


def _optimizer(plan: TrainingPlan, network: Student) -> torch.optim.Optimizer:
    """Make the optimizer; what torch says of its knobs is said as our own error."""
    try:
        return plan.optimizer(plan.parameters(network))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"learning_rate: expected a number above 0 that the optimizer takes. Got: {error}") from error


def _tracking(plan: TrainingPlan, folder: Path, evaluator: Engine) -> list[Tracking]:
    if plan.tracking_uri is None or idist.get_rank() > 0:
        return []
    return [Tracking(plan.tracking_uri, f"{folder.absolute().parent.name}/{folder.name}", evaluator, plan.knobs)]


def _lr_handler(scheduler: Any, evaluator: Engine) -> LrScheduleHandler:
    """Step a schedule that waits for a plateau with each epoch's validation loss, any other with each step."""
    if isinstance(scheduler, ReduceLROnPlateau):
        return LrScheduleHandler(
            scheduler, print_lr=False, step_transform=lambda engine: (evaluator.state.metrics["val_loss"],)
        )
    return LrScheduleHandler(scheduler, print_lr=False, epoch_level=False, step_transform=lambda engine: ())
