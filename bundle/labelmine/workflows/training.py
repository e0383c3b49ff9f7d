"""Training a student: the batches, MONAI's evaluator and MONAI's trainer, wired as S1 trains.

``configs/train.yaml`` and both stages of ``configs/mine.yaml`` are made of these three functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from ignite.handlers.tqdm_logger import ProgressBar
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import (
    IgniteMetricHandler,
    LrScheduleHandler,
    MLFlowHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
)
from monai.inferers import Inferer, SimpleInferer
from monai.metrics import DiceMetric, LossMetric
from monai.transforms import Compose
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau
from torch.utils.data import DistributedSampler, RandomSampler, Sampler, WeightedRandomSampler

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.errors import ConfigError
from labelmine.handlers import EpochSeed, History, KeepBest, Resume
from labelmine.losses import WeightedBCEDiceLoss
from labelmine.networks import Student, probabilities
from labelmine.ranges import check_number
from labelmine.transforms import BatchAugment, StrongView, StudentView
from labelmine.workflows.parallel import RANK_STRIDE, MeanStatistics, agree_on_metrics, data_parallel

Batch = Mapping[str, Any]


def view_dataset(items: Sequence[Item], images: ImageSet, image_size: int, cache_num: int = 2000) -> CacheDataset:
    """Return the student's views of items; up to ``cache_num`` of them are read once and kept in memory."""
    load = LoadItem(images.classes, images.window, images.slice_axis)
    return CacheDataset(
        list(items), Compose([load, StudentView(image_size)]), cache_num=cache_num, num_workers=2, progress=False
    )


def student_loader(
    dataset: CacheDataset,
    batch_size: int,
    shuffle: bool = True,
    steps: int | None = None,
    gold_share: float | None = None,
    num_workers: int = 0,
) -> DataLoader:
    """Return a loader of views.

    Of several ranks each draws batches of its own: with replacement where ``steps`` or ``gold_share`` say so, else
    together they pass over the set. Without ``shuffle`` every rank gets all views.

    Args:
        dataset: Views, as ``view_dataset`` makes them.
        batch_size: Images per batch.
        shuffle: Whether to draw in random order (from torch's global generator, which ``EpochSeed`` seeds).
        steps: Batches per epoch, drawn with replacement; None: one pass over the set. The same number for two students
            makes their training equally long.
        gold_share: Expected fraction of gold in a batch of gold and pseudo labels, or made pairs; None: as the set is.
            Draws with replacement.
        num_workers: Processes that load; 0 is fastest while views are cached.

    Raises:
        ConfigError: When a knob is out of its range.
    """
    check_number("batch_size", batch_size, 1, whole=True)
    check_number("num_workers", num_workers, 0, whole=True)
    if steps is not None:
        check_number("steps_per_epoch", steps, 1, whole=True, hint="or null for one pass over the set")
    if gold_share is not None:
        check_number("gold_share", gold_share, 0, 1)
    sampler: Sampler[int] | None = None
    samples = steps * batch_size if steps else math.ceil(len(dataset) / idist.get_world_size())
    if shuffle and gold_share is not None:
        sampler = WeightedRandomSampler(_shares(dataset, gold_share), samples, replacement=True)
    elif shuffle and steps is None and idist.get_world_size() > 1:
        sampler = DistributedSampler(dataset)
    elif shuffle:
        sampler = RandomSampler(dataset, replacement=steps is not None, num_samples=samples if steps else None)
    # A last batch of one image would leave batch normalisation a single value at the deepest layer.
    drop_last = shuffle and samples > batch_size
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )


def new_student(
    class_names: Sequence[str],
    encoder: str,
    encoder_weights: str | None,
    exclusive: bool,
    seed: int,
    device: str,
) -> Student:
    """Return an untrained student; the same seed gives the same one."""
    torch.manual_seed(seed)
    return Student(list(class_names), encoder, encoder_weights, exclusive).to(device)


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

    def trackers(self, folder: Path, evaluator: Engine) -> list[Any]:
        """Return handlers for TensorBoard and, where wanted, MLflow; the first rank reports for all."""
        if idist.get_rank() > 0:
            return []
        tensorboard = TensorBoardStatsHandler(
            log_dir=str(folder / "tensorboard"), output_transform=_loss_of, epoch_event_writer=_curves(evaluator)
        )
        if self.tracking_uri is None:
            return [tensorboard]
        return [tensorboard, MLFlowHandler(tracking_uri=self.tracking_uri, output_transform=_loss_of)]


class PrepareStudentBatch:
    """``prepare_batch`` of trainer and evaluator: move to the device, augment, join label and weight.

    Args:
        augment: Augmentation of whole batches; None for validation.
        strong: What pseudo-labelled images go through after it; None: nothing.
    """

    def __init__(self, augment: BatchAugment | None = None, strong: StrongView | None = None) -> None:
        """Keep the augmentations."""
        self.augment = augment
        self.strong = strong

    def set_epoch(self, epoch: int) -> None:
        """Seed the augmentations, on each rank differently; see ``EpochSeed``."""
        for randomness in (self.augment, self.strong):
            if randomness is not None:
                randomness.set_epoch(epoch + RANK_STRIDE * idist.get_rank())

    def __call__(
        self, batch: Batch, device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """Return images (B, 3, S, S) and targets (B, K + 1, S, S): K label channels, then the weight."""
        moved = {k: batch[k].to(device, non_blocking=non_blocking) for k in BatchAugment.keys}
        if self.augment is not None:
            moved = self.augment(moved)
        if self.strong is not None:
            moved = self.strong({**moved, "is_labeled": batch["is_labeled"]})
        return moved["image"], torch.cat([moved["label"], moved["weight"]], dim=1)


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
    folder: str,
    handlers: Sequence[Any] = (),
) -> SupervisedTrainer:
    """Return a trainer that validates each epoch, keeps the best student, stops early and resumes by default.

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
    where = Path(folder)
    strong = StrongView(plan.strong_view, plan.seed) if plan.strong_view else None
    prepare = PrepareStudentBatch(plan.augment, strong)
    if isinstance(loader.sampler, DistributedSampler):
        loader.sampler.seed = plan.seed
    parallel = data_parallel(network, torch.device(plan.device))
    optimizer = _optimizer(plan, network)
    scheduler = plan.scheduler(optimizer)
    evaluator = student_evaluator(plan, network, val_loader)
    trainer = SupervisedTrainer(
        device=torch.device(plan.device),
        max_epochs=max_epochs,
        train_data_loader=loader,
        network=parallel,
        optimizer=optimizer,
        loss_function=plan.loss,
        inferer=plan.inferer,
        prepare_batch=prepare,
        decollate=False,
        amp=plan.amp,
    )
    metadata, latest = {"image_size": plan.image_size}, plan.keep_epoch == "last"
    best = KeepBest(network, where / "best.safetensors", metadata=metadata, latest=latest)
    early = EarlyStopping(plan.patience, lambda engine: -engine.state.metrics["val_loss"], trainer)
    history = History(where / "history.csv", evaluator, optimizer)
    evaluator.add_event_handler(Events.COMPLETED, agree_on_metrics)
    best.attach(evaluator)
    evaluator.add_event_handler(Events.COMPLETED, early)
    state = {"network": network, "optimizer": optimizer, "scheduler": scheduler, "best": best, "early": early}
    state |= {type(handler).__name__: handler for handler in handlers if hasattr(handler, "state_dict")}
    attached = [
        MeanStatistics(network),
        *handlers,
        EpochSeed(plan.seed + RANK_STRIDE * idist.get_rank(), [prepare]),
        ValidationHandler(interval=1, validator=evaluator, epoch_level=True),
        _lr_handler(scheduler, evaluator),
        history,
        *plan.trackers(where, evaluator),
        Resume(where / "checkpoint.pt", {**state, "history": history}),
    ]
    for handler in attached:
        handler.attach(trainer)
    ProgressBar(desc=where.name, disable=idist.get_rank() > 0).attach(trainer, output_transform=_loss_of)
    return trainer


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


def _optimizer(plan: TrainingPlan, network: Student) -> torch.optim.Optimizer:
    """Make the optimizer; what torch says of its knobs is said as our own error."""
    try:
        return plan.optimizer(network.parameters())
    except (ValueError, TypeError) as error:
        raise ConfigError(f"learning_rate: expected a number above 0 that the optimizer takes. Got: {error}") from error


def _lr_handler(scheduler: Any, evaluator: Engine) -> LrScheduleHandler:
    """Step a schedule at each epoch's end; only one that waits for a plateau looks at the validation loss."""

    def told(engine: Engine) -> tuple[float, ...]:
        return (evaluator.state.metrics["val_loss"],) if isinstance(scheduler, ReduceLROnPlateau) else ()

    return LrScheduleHandler(scheduler, print_lr=False, step_transform=told)


def _loss_of(output: Mapping[str, Tensor]) -> float:
    return output["loss"].item()


def _curves(evaluator: Engine) -> Callable[[Engine, Any], None]:
    """Return TensorBoard's writer of the validation metrics."""

    def write(engine: Engine, writer: Any) -> None:
        for name, value in evaluator.state.metrics.items():
            writer.add_scalar(name, value, engine.state.epoch)

    return write


def _shares(dataset: Any, gold_share: float) -> list[float]:
    gold = ["label" in item and not item.get("made", False) for item in dataset.data]
    n_gold, n_pseudo = sum(gold), len(gold) - sum(gold)
    if not n_gold or not n_pseudo:
        return [1.0] * len(gold)
    return [gold_share / n_gold if g else (1 - gold_share) / n_pseudo for g in gold]
