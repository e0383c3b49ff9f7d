"""Make candidates: new images from noise, new lesions in real images, images on bent masks; written as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.exposure import match_histograms
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.data import ClassMap, encode_png
from labelmine.errors import ConfigError
from labelmine.progress import progress
from labelmine.ranges import check_number
from labelmine.synthesis.generator import Generator
from labelmine.synthesis.masks import cleaned, deformed, hole_around
from labelmine.synthesis.sampling import FollowStyle, KeepKnown, Steering, check_sampling, check_style, sample


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How candidates are made.

    Attributes:
        count: Number of candidates; their sources, gold images, take turns.
        steps: Network calls per resampling.
        resamplings: RePaint's r.
        eta: See ``sample``.
        inpaint: Whether only a hole around the source's lesion is made anew, with a lesion of a bent mask in it, so
            that the background stays real.
        hole_margin: See ``hole_around``.
        style: How far colours and light follow the source, in [0, 1]; 0: not at all.
        style_factor: See ``FollowStyle``.
        match_colours: Whether histograms are matched with the source's at the end.
        mask_threshold: See ``cleaned``.
        opening: Radius of the disk that opens masks, pixels.
        batch_size: Images at a time.
        seed: Of all draws.
    """

    count: int = 100
    steps: int = 50
    resamplings: int = 1
    eta: float = 1.0
    inpaint: bool = False
    hole_margin: float = 0.1
    style: float = 0.0
    style_factor: int = 16
    match_colours: bool = False
    mask_threshold: float = 0.0
    opening: int = 1
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the knobs.

        Raises:
            ConfigError: When one is out of range.
        """
        check_number("count", self.count, 1, whole=True)
        check_number("generator_batch_size", self.batch_size, 1, whole=True)
        check_number("hole_margin", self.hole_margin, 0)
        check_number("opening", self.opening, 0, whole=True)
        check_number("mask_threshold", self.mask_threshold, -1, 1)
        check_sampling(self.steps, self.resamplings, self.eta)
        check_style(self.style_factor, self.style)


@dataclass(frozen=True)
class Made:
    """One batch of candidates.

    Attributes:
        ids: Their names.
        sources: Ids of the gold images that they were made from, or pulled toward.
        images: (B, 3, S, S) in [0, 1].
        masks: (B, K, S, S) bool; None where images are made without masks.
    """

    ids: list[str]
    sources: list[str]
    images: Tensor
    masks: NDArray[np.bool_] | None = None


def make_candidates(
    generator: Generator,
    gold: Sequence[Mapping[str, Any]],
    recipe: Recipe,
    kinds: Mapping[str, int] | None = None,
    skip: frozenset[str] = frozenset(),
) -> Iterator[Made]:
    """Yield candidates in batches; a batch depends on its place and the seed alone, so that a killed run goes on.

    Args:
        generator: As trained.
        gold: Squares of the gold that it was trained on, see ``SquareView``; only those with a lesion are inpainted.
        recipe: How.
        kinds: Kind of each gold image, where the generator knows kinds: a candidate is of its source's.
        skip: Ids of candidates that are there already.
    """
    device = next(generator.parameters()).device
    if recipe.inpaint:
        gold = [row for row in gold if "label" not in row or bool((row["label"] > 0).any())]
    starts = range(0, recipe.count, recipe.batch_size)
    for start in progress(starts, "candidates", "batch"):
        numbers = range(start, min(start + recipe.batch_size, recipe.count))
        ids = [f"synthetic_{number:05d}" for number in numbers]
        if set(ids) <= skip:
            continue
        rows = [gold[number % len(gold)] for number in numbers]
        yield _made(generator, ids, rows, recipe, kinds or {}, device, recipe.seed * 1_000_003 + start)


def new_lesion(images: Tensor, labels: Tensor, drawn: Tensor, pairs: bool, margin: float = 0.1) -> KeepKnown:
    """Return the steering that makes a lesion of a drawn mask in a real image, in place of its own.

    Args:
        images: (B, 3, S, S) real images in [-1, 1].
        labels: (B, K, S, S) their masks in [-1, 1].
        drawn: (B, K, S, S) masks of 0 and 1 to make lesions on.
        pairs: Whether masks are made with images: the drawn ones are then known everywhere, so that a lesion comes.
        margin: See ``hole_around``; the hole holds the image's own lesion too.
    """
    hole = hole_around(torch.maximum((labels > 0).float(), drawn), margin)
    if not pairs:
        return KeepKnown(images, hole)
    return KeepKnown(torch.cat([images, 2 * drawn - 1], 1), torch.cat([hole.expand_as(images), 0 * drawn], 1))


def write_candidates(made: Made, folder: Path, classes: ClassMap) -> None:
    """Write a batch as ``images/<id>.png`` and ``masks/<id>.png``."""
    for row, name in enumerate(made.ids):
        if made.masks is not None:
            write_whole(folder / "masks" / f"{name}.png", encode_png(classes.decode(made.masks[row])), durable=False)
        pixels = (made.images[row].permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
        write_whole(folder / "images" / f"{name}.png", encode_png(pixels), durable=False)


def _made(
    generator: Generator,
    ids: list[str],
    rows: Sequence[Mapping[str, Any]],
    recipe: Recipe,
    kinds: Mapping[str, int],
    device: torch.device,
    seed: int,
) -> Made:
    real = torch.stack([row["image"] for row in rows]).to(device)
    masked = generator.content != "images" and "label" in rows[0]
    labels = torch.stack([row["label"] for row in rows]).to(device) if masked else None
    conditioning: dict[str, Tensor] = {}
    if generator.clusters:
        conditioning["clusters"] = torch.tensor([kinds[row["id"]] for row in rows], device=device)
    steering: list[Steering] = [FollowStyle(real, recipe.style_factor, recipe.style)] if recipe.style else []
    drawn = None
    if labels is not None and (recipe.inpaint or generator.content == "images_on_masks"):
        drawn = deformed((labels > 0).float(), seed).to(device)
        if generator.content == "images_on_masks":
            conditioning["masks"] = drawn
    if recipe.inpaint:
        if labels is None or drawn is None:
            raise ConfigError("inpaint: a hole is made around a lesion, so masks are needed. Give --content pairs")
        steering.append(new_lesion(real, labels, drawn, generator.content == "pairs", recipe.hole_margin))
    made = sample(
        partial(generator, **conditioning),
        generator.process,
        (len(ids), generator.image_channels, generator.image_size, generator.image_size),
        recipe.steps,
        steering,
        recipe.resamplings,
        recipe.eta,
        seed,
        device,
    )
    images = (made[:, :3].cpu() + 1) / 2
    if recipe.match_colours:
        images = _matched(images, (real.cpu() + 1) / 2)
    masks = None
    if generator.content == "pairs":
        masks = cleaned(made[:, 3:], recipe.mask_threshold, recipe.opening)
    elif drawn is not None:
        masks = (drawn > 0.5).cpu().numpy()
    return Made(ids, [row["id"] for row in rows], images, masks)


def _matched(images: Tensor, references: Tensor) -> Tensor:
    """Give each image the histogram of its reference, channel by channel."""
    pairs = zip(images.numpy(), references.numpy(), strict=True)
    return torch.from_numpy(np.stack([match_histograms(a, b, channel_axis=0) for a, b in pairs])).float().clamp(0, 1)
