"""``configs/pretrain_simclr.yaml``: batches without masks, the trainer, and the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ignite.metrics import Accuracy
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler, TensorBoardStatsHandler
from monai.optimizers import WarmupCosineSchedule
from monai.transforms import Compose, SelectItemsd
from torch import Tensor
from torch.utils.data import RandomSampler

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.errors import ConfigError, DataError
from labelmine.evaluation import write_metrics
from labelmine.handlers import EpochSeed, History, Resume, StageProgress
from labelmine.pretrain import PartnerContrast, RandomViews, SimCLR, partner_similarities
from labelmine.teachers.build import image_digest
from labelmine.transforms import StudentView, view_extent
from labelmine.workflows.run_folder import RunFolder

logger = logging.getLogger(__name__)

ENCODER_FILE_NAME = "encoder.safetensors"
LEARNT = 3  # times chance; an accuracy below it is warned of


def pretraining_items(images: ImageSet) -> list[Item]:
    """Return training and unlabelled images without their masks; validation and test gold stay out of sight."""
    return [
        Item(**{k: v for k, v in item.items() if k not in ("label", "dropped_label")})  # type: ignore[typeddict-item]
        for item in images.train + images.unlabeled
    ]


def pretraining_loader(
    images: ImageSet,
    image_size: int,
    batch_size: int,
    steps: int | None = None,
    cache_num: int = 2000,
    num_workers: int = 0,
) -> DataLoader:
    """Return a loader of plain views in random order, none twice in an epoch: an image must not be its own negative.

    Args:
        images: The image set.
        image_size: Side of the view in pixels.
        batch_size: Images per batch, 2 or more; every batch is full.
        steps: Batches per epoch at most; None: as many as the set fills.
        cache_num: Views that are read once and kept in memory.
        num_workers: Processes that load; 0 is fastest while views are cached.

    Raises:
        ConfigError: A batch of fewer than two images.
        DataError: Fewer images than a batch takes.
    """
    if batch_size < 2:
        raise ConfigError(
            f"batch_size: expected 2 or more, as an image is told apart from the batch's others; got {batch_size}"
        )
    items = pretraining_items(images)
    if len(items) < batch_size:
        raise DataError(
            f"{images.name}: {len(items)} images to learn from (training and unlabelled), fewer than a batch of "
            f"{batch_size}. Add images, they need no masks; or give a smaller --batch_size, 2 or more"
        )
    load = LoadItem(images.classes, images.window, images.slice_axis)
    view = Compose([load, StudentView(image_size), SelectItemsd(["image", "original_size"])])
    dataset = CacheDataset(items, view, cache_num=cache_num, num_workers=2, progress=False)
    batches = min(steps or len(items), len(items) // batch_size)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=RandomSampler(dataset, num_samples=batches * batch_size),
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )


class PreparePartners:
    """``prepare_batch`` of the trainer: two random views of each image, and which row shows the same image.

    Args:
        views: Draws the views.
    """

    def __init__(self, views: RandomViews) -> None:
        """Keep the views."""
        self.views = views

    def set_epoch(self, epoch: int) -> None:
        """Seed the views; see ``EpochSeed``."""
        self.views.set_epoch(epoch)

    def __call__(
        self, batch: Mapping[str, Tensor], device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """Return views (2B, 3, S, S) and the row (2B,) of each view's partner."""
        images = batch["image"].to(device, non_blocking=non_blocking)
        sizes = batch["original_size"].tolist()
        extents = torch.tensor([view_extent((height, width), images.shape[-1]) for height, width in sizes])
        partners = torch.arange(2 * len(images), device=images.device).roll(len(images))
        return self.views(images, extents), partners


def new_simclr(encoder: str, encoder_weights: str | None, seed: int, device: str) -> SimCLR:
    """Return an untrained network; the same seed gives the same one."""
    torch.manual_seed(seed)
    return SimCLR(encoder, encoder_weights).to(device)


def pretraining_trainer(
    network: SimCLR,
    loader: DataLoader,
    views: RandomViews,
    optimizer: Callable[[Any], torch.optim.Optimizer],
    max_epochs: int,
    folder: str,
    warmup_epochs: int = 1,
    temperature: float = 0.1,
    seed: int = 0,
    device: str = "cpu",
) -> SupervisedTrainer:
    """Return a trainer that writes its curve and resumes by default.

    Its metric ``accuracy`` is the part of the views whose partner resembles them most among all others of the batch.

    Args:
        network: Encoder and head.
        loader: Batches of plain views.
        views: Makes two random ones of each.
        optimizer: Makes the optimizer from parameters.
        max_epochs: Epochs; the learning rate ends at 0, so a longer training differs from its first epoch on.
        folder: Where ``checkpoint.pt``, ``history.csv`` and TensorBoard's files go.
        warmup_epochs: Epochs in which the learning rate rises.
        temperature: Of the loss.
        seed: Seed of all randomness, with the epoch.
        device: Where to train; mixed precision on a GPU.
    """
    where = Path(folder)
    made = optimizer(network.parameters())
    steps = len(loader)
    scheduler = WarmupCosineSchedule(made, warmup_epochs * steps, max_epochs * steps, warmup_multiplier=0.1)
    prepare = PreparePartners(views)
    trainer = SupervisedTrainer(
        device=torch.device(device),
        max_epochs=max_epochs,
        train_data_loader=loader,
        network=network,
        optimizer=made,
        loss_function=PartnerContrast(temperature),
        prepare_batch=prepare,
        decollate=False,
        key_train_metric={"accuracy": Accuracy(_choices)},
        amp=torch.device(device).type == "cuda",
    )
    history = History(where / "history.csv", trainer, made)
    state = {"network": network, "optimizer": made, "scheduler": scheduler, "history": history}
    for handler in (
        EpochSeed(seed, [prepare]),
        LrScheduleHandler(scheduler, print_lr=False, epoch_level=False),
        history,
        TensorBoardStatsHandler(log_dir=str(where / "tensorboard"), output_transform=_loss_of),
        Resume(where / "checkpoint.pt", state),
        StageProgress(where.name, ["accuracy"]),
    ):
        handler.attach(trainer)
    return trainer


def finish_pretraining(
    run: RunFolder,
    images: ImageSet,
    network: SimCLR,
    seed: int,
    batch_size: int,
    recipe: Mapping[str, Any] | None = None,
) -> None:
    """Write ``encoder.safetensors`` with the digests of its images, and ``metrics.json``; warn of nothing learnt.

    Args:
        run: The run's folder, whose ``simclr/history.csv`` is read.
        images: The image set.
        network: As trained.
        seed: Seed of the run.
        batch_size: Images per batch: of 2B - 1 other views, one is the partner.
        recipe: Further knobs that the file should remember.
    """
    items = pretraining_items(images)
    last = pd.read_csv(run.path / "simclr" / "history.csv").iloc[-1]
    made = {"dataset": images.name, "seed": seed, "epochs": int(last["epoch"]), "n_images": len(items)}
    digests = {image_digest(path) for path in {item["image"] for item in items}}
    network.save_encoder(run.path / ENCODER_FILE_NAME, digests, {**made, **(recipe or {})})
    loss, accuracy, chance = float(last["train_loss"]), float(last["accuracy"]), 1 / (2 * batch_size - 1)
    figures = {"loss": loss, "accuracy": accuracy, "chance": chance, "seconds": run.seconds}
    write_metrics(run.path / "metrics.json", {**made, **images.summary, "encoder": network.name, **figures})
    logger.info("wrote %s; loss %.3f, accuracy %.3f (chance %.3f)", ENCODER_FILE_NAME, loss, accuracy, chance)
    if accuracy < LEARNT * chance:
        logger.warning(
            "The encoder finds an image's other view hardly more often than chance: it has learnt next to nothing. "
            "Give --encoder_weights to start from, more --max_epochs, or more images."
        )


def _choices(output: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    return partner_similarities(output["pred"].detach()), output["label"]


def _loss_of(output: Mapping[str, Tensor]) -> float:
    return output["loss"].item()
