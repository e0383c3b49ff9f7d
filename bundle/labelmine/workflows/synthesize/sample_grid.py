"""Grids of samples, drawn during a generator's training, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from labelmine.atomic import write_whole
from labelmine.synthesis import Generator, grid_png, sample

GRID_IMAGES = 16


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
    return sample(network, generator.process, shape, steps, seed=seed, device=device)
