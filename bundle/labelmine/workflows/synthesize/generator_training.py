"""Training a generator on gold: its batches, its trainer and a moving average."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.optimizers import WarmupCosineSchedule
from torch import Tensor
from torch.utils.data import RandomSampler

from labelmine.data import ImageSet
from labelmine.errors import ConfigError
from labelmine.handlers import EmaStudent
from labelmine.run.files import GENERATOR_FILE
from labelmine.synthesis import (
    Generator,
    PrepareNoise,
    cluster,
    generator_views,
    gold_of_generator,
    refuse_absent_classes,
)
from labelmine.teachers.build import image_digest
from labelmine.training import TrainerParts, equip, new_trainer
from labelmine.workflows.synthesize.feature_networks import FeatureNetwork
from labelmine.workflows.synthesize.knobs import SynthesizeKnobs
from labelmine.workflows.synthesize.sample_grid import GRID_IMAGES, SampleGrid


def new_generator(knobs: SynthesizeKnobs, images: ImageSet) -> Generator:
    """Return an untrained generator; the same seed gives the same one."""
    torch.manual_seed(knobs.seed)
    generator = Generator(
        class_names=images.classes.names,
        image_size=knobs.generator_size,
        content=knobs.content,
        kind=knobs.prediction,
        channels=knobs.channels,
        attention=knobs.attention,
        res_blocks=knobs.res_blocks,
        clusters=knobs.clusters,
        bfloat16=knobs.bfloat16,
    )
    return generator.to(knobs.device)


def generator_loader(images: ImageSet, generator: Generator, batch_size: int, steps: int) -> DataLoader:
    """Return batches of gold for a generator: exactly the gold that the student it is compared with has.

    Args:
        images: The image set.
        generator: For whom.
        batch_size: Images per batch.
        steps: Batches per epoch, drawn with replacement.

    Raises:
        DataError: Too few gold images, or none of a class.
    """
    views = generator_views(gold_of_generator(images), images, generator.image_size)
    if generator.content != "images":
        refuse_absent_classes(list(views), generator.class_names)
    sampler = RandomSampler(views, replacement=True, num_samples=steps * batch_size)
    return DataLoader(views, batch_size=batch_size, sampler=sampler, num_workers=0)


def kinds_of(
    images: ImageSet, image_size: int, features: FeatureNetwork, clusters: int, seed: int = 0
) -> dict[str, int]:
    """Return the kind of each gold training image by id, from features of image and mask; empty where none are wanted.

    Args:
        images: The image set.
        image_size: Side of the squares in pixels.
        features: Feature network.
        clusters: Number of kinds; 0: none.
        seed: Of K-means.

    Raises:
        ConfigError: Too few images for so many kinds.
    """
    if not clusters:
        return {}
    views = list(generator_views(gold_of_generator(images), images, image_size))
    pictures = torch.stack([(view["image"] + 1) / 2 for view in views])
    masks = torch.stack([(view["label"].amax(0, keepdim=True) + 1) / 2 for view in views])
    inputs = torch.cat([features(pictures), features(masks.expand(-1, 3, -1, -1))], dim=1)  # S4: image with mask
    found = cluster(inputs.numpy(), clusters, seed)
    return {view["id"]: int(kind) for view, kind in zip(views, found, strict=True)}


def gold_digests(images: ImageSet) -> list[str]:
    """Return digests of the gold images that train, sorted: what a generator's file says it was trained on."""
    return sorted(image_digest(item["image"]) for item in gold_of_generator(images))


def generator_trainer(
    generator: Generator,
    loader: DataLoader,
    images: ImageSet,
    kinds: Mapping[str, int],
    knobs: SynthesizeKnobs,
    folder: Path,
) -> SupervisedTrainer:
    """Return a trainer that keeps a moving average, draws grids, writes its curve and resumes by default.

    The learning rate warms up for a twentieth of the steps and ends at 0 along a cosine.

    Args:
        generator: In training.
        loader: Batches of squares, see ``generator_views``.
        images: The image set; the generator's file says on which gold it was trained.
        kinds: Kind of each gold image, see ``kinds_of``.
        knobs: Of the workflow.
        folder: Where ``generator.safetensors`` (the average), ``checkpoint.pt``, ``history.csv``, ``samples/`` and
            TensorBoard's files go.

    Raises:
        ConfigError: When the memory does not suffice, with the knobs that need less.
    """
    parts = _parts(generator, loader, kinds, knobs, folder)
    trainer = new_trainer(parts)
    average = EmaStudent(generator, knobs.generator_ema)
    optimized = Events.ITERATION_COMPLETED(every=knobs.accumulation_steps)
    average.attach(trainer, event=optimized)
    trainer.add_event_handler(optimized, LrScheduleHandler(parts.scheduler, print_lr=False))
    grid = SampleGrid(average.ema_model, folder, knobs.grid_every, _grid_conditioning(generator, loader, kinds))
    equip(trainer, parts, [grid], {"average": average}, explain=_explain)
    made = {"trained_on": gold_digests(images), "epochs": knobs.generator_epochs, "seed": knobs.seed}
    trainer.add_event_handler(Events.COMPLETED, lambda: average.ema_model.save(folder / GENERATOR_FILE, **made))
    return trainer


def _parts(
    generator: Generator, loader: DataLoader, kinds: Mapping[str, int], knobs: SynthesizeKnobs, folder: Path
) -> TrainerParts:
    optimizer = torch.optim.AdamW(generator.parameters(), knobs.generator_learning_rate)
    steps = knobs.generator_epochs * len(loader) // knobs.accumulation_steps
    return TrainerParts(
        network=generator,
        loader=loader,
        optimizer=optimizer,
        scheduler=WarmupCosineSchedule(optimizer, max(1, steps // 20), steps, warmup_multiplier=0.1),
        loss=torch.nn.MSELoss(),
        prepare_batch=PrepareNoise(generator.process, generator.content, kinds, knobs.seed),
        max_epochs=knobs.generator_epochs,
        folder=folder,
        seed=knobs.seed,
        device=knobs.device,
        engine={"accumulation_steps": knobs.accumulation_steps},
    )


def _grid_conditioning(generator: Generator, loader: DataLoader, kinds: Mapping[str, int]) -> dict[str, Tensor]:
    """Return what a grid's samples are conditioned on: kinds and masks of gold images, in turn."""
    views = [loader.dataset[index % len(loader.dataset)] for index in range(GRID_IMAGES)]
    conditioning: dict[str, Tensor] = {}
    if kinds:
        conditioning["clusters"] = torch.tensor([kinds[view["id"]] for view in views])
    if generator.content == "images_on_masks":
        conditioning["masks"] = torch.stack([(view["label"] > 0).float() for view in views])
    return conditioning


def _explain(engine: Engine, error: BaseException) -> None:
    """Turn an out-of-memory error into one that names the knobs."""
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        raise ConfigError(
            "out of memory: give a smaller --generator_batch_size with as many more --accumulation_steps (a step is "
            "then of as many images), a smaller --generator_size, or fewer --channels"
        ) from error
    raise error
