"""Training a generator on gold: its batches, MONAI's trainer, a moving average, and grids of samples to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers.tqdm_logger import ProgressBar
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler, StatsHandler, TensorBoardStatsHandler
from monai.optimizers import WarmupCosineSchedule
from torch import Tensor
from torch.utils.data import RandomSampler
from torch.utils.tensorboard import SummaryWriter

from labelmine.atomic import write_whole
from labelmine.data import ImageSet
from labelmine.errors import ConfigError
from labelmine.handlers import EmaStudent, EpochSeed, History, Resume
from labelmine.synthesis import (
    Generator,
    PrepareNoise,
    cluster,
    generator_views,
    gold_of_generator,
    grid_png,
    refuse_absent_classes,
    sample,
)
from labelmine.teachers.build import image_digest
from labelmine.workflows.feature_networks import FeatureNetwork

GENERATOR_FILE = "generator.safetensors"
GRID_IMAGES = 16


def generator_loader(images: ImageSet, generator: Generator, batch_size: int, steps: int) -> DataLoader:
    """Return batches of gold for a generator: exactly the gold that the student it is compared with has.

    Args:
        images: The image set.
        generator: For whom.
        batch_size: Images per batch.
        steps: Batches per epoch, drawn with replacement.

    Raises:
        ConfigError: Several ranks.
        DataError: Too few gold images, or none of a class.
    """
    if idist.get_world_size() > 1:
        raise ConfigError("synthesize.yaml trains on one device: leave out torchrun and multi_gpu.yaml")
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


class SampleGrid:
    """Draw a grid of samples every few epochs, into a folder and into TensorBoard.

    Args:
        generator: Who draws: the moving average.
        folder: Where ``samples/epoch_0010.png`` and TensorBoard's files go.
        every: Epochs between two grids; 0: none.
        conditioning: What else the generator takes (``clusters``, ``masks``), for ``count`` samples.
        count: Samples in a grid.
        steps: Of the sampling.
        seed: Of the noise, the same for all grids, so that they show how the same samples grow better.
    """

    def __init__(
        self,
        generator: Generator,
        folder: Path,
        every: int = 10,
        conditioning: Mapping[str, Tensor] | None = None,
        count: int = GRID_IMAGES,
        steps: int = 25,
        seed: int = 0,
    ) -> None:
        """Keep the knobs."""
        self.generator = generator
        self.folder = folder
        self.every = every
        self.count = count
        self.steps = steps
        self.conditioning = dict(conditioning or {})
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Draw at the end of every so many epochs of ``engine``, and at its end."""
        if self.every:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.every), self)
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Draw one grid, unless this epoch has its own."""
        path = self.folder / "samples" / f"epoch_{engine.state.epoch:04d}.png"
        if path.is_file():
            return
        made = draw(self.generator, self.count, self.steps, self.conditioning, self.seed)
        masks = (made[:, 3:] > 0).float() if made.shape[1] > 3 else self.conditioning.get("masks")
        write_whole(path, grid_png((made[:, :3].cpu() + 1) / 2, None if masks is None else masks.cpu()))
        with SummaryWriter(str(self.folder / "tensorboard")) as writer:
            writer.add_images("samples", (made[:, :3] + 1) / 2, engine.state.epoch)


def draw(
    generator: Generator,
    count: int,
    steps: int,
    conditioning: Mapping[str, Tensor] | None = None,
    seed: int = 0,
) -> Tensor:
    """Return (count, C, S, S) samples in [-1, 1] of a generator; see ``sample``."""
    device = next(generator.parameters()).device
    placed = {key: value.to(device) for key, value in (conditioning or {}).items()}
    shape = (count, generator.image_channels, generator.image_size, generator.image_size)
    network = partial(generator, **placed)
    return sample(network, generator.process, shape, steps, seed=seed, device=device, progress=False)


def generator_trainer(
    generator: Generator,
    loader: DataLoader,
    images: ImageSet,
    kinds: Mapping[str, int],
    optimizer: Callable[[Any], torch.optim.Optimizer],
    max_epochs: int,
    folder: str,
    ema_decay: float = 0.999,
    accumulation_steps: int = 1,
    grid_every: int = 10,
    seed: int = 0,
    device: str = "cpu",
) -> SupervisedTrainer:
    """Return a trainer that keeps a moving average, draws grids, writes its curve and resumes by default.

    Args:
        generator: In training.
        loader: Batches of squares, see ``generator_views``.
        images: The image set; the generator's file says on which gold it was trained.
        kinds: Kind of each gold image, see ``kinds_of``.
        optimizer: Makes the optimizer from parameters.
        max_epochs: Epochs; the learning rate warms up for a twentieth of the steps and ends at 0 along a cosine.
        folder: Where ``generator.safetensors`` (the average), ``checkpoint.pt``, ``history.csv``, ``samples/`` and
            TensorBoard's files go.
        ema_decay: Part of the average that stays at each step.
        accumulation_steps: Batches whose gradients make one step: the same as a larger batch, in less memory.
        grid_every: See ``SampleGrid``.
        seed: Seed of all randomness, with the epoch.
        device: Where to train.

    Raises:
        ConfigError: When the memory does not suffice, with the knobs that need less.
    """
    where = Path(folder)
    prepare = PrepareNoise(generator.process, generator.content, kinds, seed)
    made = optimizer(generator.parameters())
    steps = max_epochs * len(loader) // accumulation_steps
    scheduler = WarmupCosineSchedule(made, max(1, steps // 20), steps, warmup_multiplier=0.1)
    trainer = SupervisedTrainer(
        device=torch.device(device),
        max_epochs=max_epochs,
        train_data_loader=loader,
        network=generator,
        optimizer=made,
        loss_function=torch.nn.MSELoss(),
        prepare_batch=prepare,
        accumulation_steps=accumulation_steps,
        decollate=False,
    )
    average = EmaStudent(generator, ema_decay)
    history = History(where / "history.csv", trainer, made)
    state = {"generator": generator, "optimizer": made, "scheduler": scheduler, "average": average, "history": history}
    trainer.add_event_handler(Events.EXCEPTION_RAISED, _explain)  # before StatsHandler, which raises the error again
    optimized = Events.ITERATION_COMPLETED(every=accumulation_steps)
    average.attach(trainer, event=optimized)
    trainer.add_event_handler(optimized, LrScheduleHandler(scheduler, print_lr=False))
    for handler in (
        EpochSeed(seed, [prepare]),
        history,
        StatsHandler(iteration_log=False),
        TensorBoardStatsHandler(log_dir=str(where / "tensorboard"), output_transform=_loss_of),
        SampleGrid(average.ema_model, where, grid_every, _grid_conditioning(generator, loader, kinds)),
        Resume(where / "checkpoint.pt", state),
    ):
        handler.attach(trainer)
    record = {"trained_on": gold_digests(images), "epochs": max_epochs, "seed": seed}
    trainer.add_event_handler(Events.COMPLETED, lambda: average.ema_model.save(where / GENERATOR_FILE, **record))
    bar = ProgressBar(desc=f"{where.name}, epochs", persist=True)  # tells the time left of the whole training
    bar.attach(trainer, event_name=Events.EPOCH_COMPLETED, closing_event_name=Events.COMPLETED)
    return trainer


def new_generator(seed: int, device: str, **knobs: Any) -> Generator:
    """Return an untrained ``Generator``; the same seed gives the same one."""
    torch.manual_seed(seed)
    return Generator(**knobs).to(device)


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


def _loss_of(output: Mapping[str, Tensor]) -> float:
    return output["loss"].item()
