"""A teacher's decoder, fitted to gold: asked as the student will ask, answered with the gold objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from labelmine.labelers.prediction import predict
from labelmine.losses import PromptableLoss
from labelmine.networks import StudentNetwork
from labelmine.progress import progress
from labelmine.prompts import PromptGenerator, Prompts, components
from labelmine.prompts.jitter import jittered
from labelmine.teachers import Teacher
from labelmine.teachers.fitted import FLIPS, decoder_of, with_own_decoder
from labelmine.transforms import teacher_images

Batch = Mapping[str, Any]

MAX_BYTES = 2**31  # of kept embeddings; beyond it images are seen unflipped, then fewer of them
BATCH_SIZE = 8  # images a step
MAX_OBJECTS = 32  # prompts a step
LEARNING_RATE = 3e-4  # the largest of the one cycle
BY_STUDENT = 0.5  # share of images that a student's masks prompt, where one is known that never saw the image
JITTER = (0.05, 0.3)  # range of how far prompts move, fraction of the object's side
SHARED = 0.25  # part of the smaller one that a prompt's object and a gold object must share to be the same


@dataclass(frozen=True)
class FitImage:
    """An image of training gold.

    Attributes:
        id: Of the image.
        embeddings: The teacher's, in half precision, of the image and of its flips.
        gold: (K, S, S) bool.
        drawn: (K, S, S) probability of a student that never saw the image; None: there is none.
    """

    id: str
    embeddings: list[Tensor]
    gold: Tensor
    drawn: Tensor | None


def read_fit_images(
    teacher: Teacher, batches: Iterable[Batch], student: StudentNetwork | None, exclusive: bool, flips: int
) -> list[FitImage]:
    """Ask teacher and student all that a fit needs to know of images.

    Args:
        teacher: Encodes them.
        batches: Plain views with gold, on the device to work on.
        student: Never saw them; None: there is none.
        exclusive: Whether classes exclude each other.
        flips: How many of ``FLIPS`` to encode.
    """
    made = []
    for batch in batches:
        seen = teacher_images(batch)
        embeddings = [teacher.encode(torch.flip(seen, axes)).half().cpu() for axes in FLIPS[:flips]]
        drawn = predict(student, batch, exclusive).half().cpu() if student is not None else None
        gold = (batch["label"] > 0.5).cpu()
        made += [
            FitImage(name, [e[n] for e in embeddings], gold[n], None if drawn is None else drawn[n])
            for n, name in enumerate(batch["id"])
        ]
    return made


def fit_decoder(
    teacher: Teacher,
    images: Sequence[FitImage],
    prompts: PromptGenerator,
    steps: int,
    seed: int,
    device: torch.device | str = "cpu",
    name: str = "fit teacher",
) -> Teacher:
    """Return a teacher that shares all but its decoder with another, and whose decoder has learnt from images.

    Half of the prompts are made of what a student drew that never saw the image, the others of gold; both are moved.
    The right answer is the gold that the prompt's object shares; where it shares none, nothing.

    Args:
        teacher: To begin with; it stays as it is.
        images: See ``read_fit_images``.
        prompts: As the student will ask.
        steps: Of AdamW, one cycle, ``BATCH_SIZE`` images each.
        seed: Of the draws.
        device: Where to work.
        name: On the progress bar.
    """
    fitted, loss = with_own_decoder(teacher), PromptableLoss()
    decoder = decoder_of(fitted)
    weights = list(decoder.requires_grad_(True).parameters())
    optimizer = torch.optim.AdamW(weights, LEARNING_RATE)
    schedule = OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps + 1)
    rng = np.random.default_rng(seed)
    for _ in progress(range(steps), name, "step"):
        embeddings, asked, wanted = _draw(images, prompts, rng)
        if len(asked):
            size = (wanted.shape[-2], wanted.shape[-1])
            answer = fitted.decode(embeddings.to(device), asked.to(device), size)
            optimizer.zero_grad()
            loss(answer, wanted.to(device)).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
        schedule.step()
    decoder.requires_grad_(False)
    return fitted


def _draw(
    images: Sequence[FitImage], prompts: PromptGenerator, rng: np.random.Generator
) -> tuple[Tensor, Prompts, Tensor]:
    """Return embeddings (B, ...), prompts of N objects in them, and the right answers (N, 1, S, S)."""
    embeddings, sources, golds = [], [], []
    for n in rng.choice(len(images), min(BATCH_SIZE, len(images)), replace=False):
        image = images[n]
        flip = int(rng.integers(len(image.embeddings)))
        by_student = image.drawn is not None and bool((image.drawn > prompts.tau).any()) and rng.random() < BY_STUDENT
        source = image.drawn if by_student and image.drawn is not None else image.gold
        embeddings.append(image.embeddings[flip].float())
        sources.append(torch.flip(source, FLIPS[flip]).float())
        golds.append(torch.flip(image.gold, FLIPS[flip]).numpy())
    source = torch.stack(sources)
    wanted, side = _answers(source.numpy(), golds, prompts)
    asked = prompts(source)
    if len(asked) > MAX_OBJECTS:
        rows = torch.from_numpy(np.sort(rng.choice(len(asked), MAX_OBJECTS, replace=False)))
        asked, wanted, side = asked.selected(rows), wanted[rows], side[rows]
    far = torch.from_numpy(rng.uniform(*JITTER, len(asked))).float()
    size = (source.shape[-2], source.shape[-1])
    moved = jittered(asked, side * far, 1.0, size, seed=int(rng.integers(2**31)))
    return torch.stack(embeddings), moved, wanted


def _answers(
    source: NDArray[np.float32], golds: Sequence[NDArray[np.bool_]], prompts: PromptGenerator
) -> tuple[Tensor, Tensor]:
    """Return what is right (N, 1, S, S) for each object that prompts ask for, and the object's side (N,)."""
    answers, sides = [], []
    for b, c in np.ndindex(source.shape[:2]):
        gold = components(golds[b][c])
        for target in prompts.objects(source[b, c]):
            answers.append(_shared(target, gold))
            sides.append(float(np.sqrt(target.sum())))
    shape = (len(answers), 1, *source.shape[-2:])
    stacked = np.stack(answers) if answers else np.zeros((0, *source.shape[-2:]), bool)
    return torch.from_numpy(stacked).float().reshape(shape), torch.tensor(sides)


def _shared(target: NDArray[np.bool_], gold: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return the union of the gold objects that an object shares enough pixels with."""
    wanted = np.zeros_like(target)
    for other in gold:
        if (target & other).sum() >= SHARED * min(target.sum(), other.sum()):
            wanted |= other
    return wanted
