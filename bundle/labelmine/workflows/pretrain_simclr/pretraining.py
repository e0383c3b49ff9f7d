"""Give a student's encoder a warm start from images alone (SimCLR), before masks come in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, ClassVar

import pandas as pd
import torch
from annotated_types import Ge, Interval
from ignite.metrics import Accuracy
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.optimizers import WarmupCosineSchedule
from torch import Tensor

from labelmine.data import ImageSet, prepare_image_set
from labelmine.evaluation import write_metrics
from labelmine.pretrain import PartnerContrast, RandomViews, SimCLR, partner_similarities
from labelmine.pretrain.contrast import LOWEST_TEMPERATURE
from labelmine.run.files import ENCODER_FILE, HISTORY_FILE, METRICS_FILE
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import EncoderKnobs, NotNegative, Share, SplitKnobs
from labelmine.teachers.build import image_digest
from labelmine.training import TrainerParts, equip, new_trainer
from labelmine.workflows.pretrain_simclr.batches import PreparePartners, pretraining_items, pretraining_loader

logger = logging.getLogger(__name__)

STAGE = "simclr"
LEARNT = 3  # times chance; an accuracy below it is warned of


class PretrainKnobs(SplitKnobs, EncoderKnobs):
    """The knobs of ``configs/pretrain_simclr.yaml``."""

    workflow: ClassVar[str] = "pretrain_simclr"

    warmup_epochs: NotNegative
    weight_decay: Annotated[float, Ge(0)]
    temperature: Annotated[float, Ge(LOWEST_TEMPERATURE)]
    min_area: Annotated[float, Interval(gt=0, le=1)]
    rotation: Annotated[float, Interval(ge=0, le=180)]
    colour_jitter: Share
    grey: Share
    blur: Share
    num_workers: NotNegative


class Pretraining:
    """Learn from training and unlabelled images; those that validate and test stay out of it.

    Args:
        knobs: Of the workflow.
    """

    def __init__(self, knobs: PretrainKnobs) -> None:
        """Open the folder; nothing is read yet."""
        self.knobs = knobs
        self.folder = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow)

    @cached_property
    def images(self) -> ImageSet:
        """The images: found, checked and split."""
        knobs = self.knobs
        return self.folder.stage(
            "data",
            lambda: prepare_image_set(
                knobs.dataset_dir,
                knobs.output_dir,
                knobs.seed,
                val_fraction=knobs.val_fraction,
                test_fraction=knobs.test_fraction,
                split_file=knobs.split_file,
                classes=knobs.classes,
                window=knobs.window,
                slice_axis=knobs.slice_axis,
                mask_pattern=knobs.mask_pattern,
            ),
        )

    @cached_property
    def network(self) -> SimCLR:
        """Encoder and head; untrained, the same seed gives the same one."""
        torch.manual_seed(self.knobs.seed)
        return SimCLR(self.knobs.encoder, self.knobs.encoder_weights).to(self.knobs.device)

    @cached_property
    def trainer(self) -> SupervisedTrainer:
        """Its metric ``accuracy`` is the part of the views whose partner resembles them most in the batch."""
        knobs = self.knobs
        loader = pretraining_loader(
            self.images,
            knobs.image_size,
            knobs.batch_size,
            steps=knobs.steps_per_epoch,
            cache_num=knobs.cache_num,
            num_workers=knobs.num_workers,
        )
        optimizer = torch.optim.AdamW(self.network.parameters(), knobs.learning_rate, weight_decay=knobs.weight_decay)
        warmup, steps = knobs.warmup_epochs * len(loader), knobs.max_epochs * len(loader)
        parts = TrainerParts(
            network=self.network,
            loader=loader,
            optimizer=optimizer,
            scheduler=WarmupCosineSchedule(optimizer, warmup, steps, warmup_multiplier=0.1),
            loss=PartnerContrast(knobs.temperature),
            prepare_batch=PreparePartners(self._views()),
            max_epochs=knobs.max_epochs,
            folder=self.folder.path / STAGE,
            seed=knobs.seed,
            device=knobs.device,
            engine={
                "key_train_metric": {"accuracy": Accuracy(_choices)},
                "amp": torch.device(knobs.device).type == "cuda",
            },
        )
        schedule = LrScheduleHandler(parts.scheduler, print_lr=False, epoch_level=False)
        return equip(new_trainer(parts), parts, [schedule], {}, shown=["accuracy"])

    def train(self) -> None:
        """Train, or go on where a killed run stopped."""
        self.folder.stage("pretrain", lambda: self.trainer.run())

    def write(self) -> None:
        """Write ``encoder.safetensors`` with the digests of its images, and ``metrics.json``."""
        self.folder.stage("write", self._write)

    def _views(self) -> RandomViews:
        knobs = self.knobs
        return RandomViews(
            min_area=knobs.min_area,
            rotation=knobs.rotation,
            jitter=knobs.colour_jitter,
            grey=knobs.grey,
            blur=knobs.blur,
            seed=knobs.seed,
        )

    def _write(self) -> None:
        knobs, items = self.knobs, pretraining_items(self.images)
        last = pd.read_csv(self.folder.path / STAGE / HISTORY_FILE).iloc[-1]
        made = {"dataset": self.images.name, "seed": knobs.seed, "epochs": int(last["epoch"]), "n_images": len(items)}
        digests = {image_digest(path) for path in {item["image"] for item in items}}
        recipe = knobs.model_dump(include={"image_size", "batch_size", "learning_rate", "temperature"})
        self.network.save_encoder(self.folder.path / ENCODER_FILE, digests, {**made, **recipe})
        # Of 2B - 1 other views, one is the partner.
        loss, accuracy, chance = float(last["train_loss"]), float(last["accuracy"]), 1 / (2 * knobs.batch_size - 1)
        figures = {"loss": loss, "accuracy": accuracy, "chance": chance, "seconds": self.folder.seconds}
        about = {**made, **self.images.summary, "encoder": self.network.name}
        write_metrics(self.folder.path / METRICS_FILE, {**about, **figures})
        logger.info("wrote %s; loss %.3f, accuracy %.3f (chance %.3f)", ENCODER_FILE, loss, accuracy, chance)
        if accuracy < LEARNT * chance:
            logger.warning(
                "The encoder finds an image's other view hardly more often than chance: it has learnt next to nothing. "
                "Give --encoder_weights to start from, more --max_epochs, or more images."
            )


def _choices(output: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    return partner_similarities(output["pred"].detach()), output["label"]
