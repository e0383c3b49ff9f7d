"""What ``configs/train_teacher.yaml`` needs beyond MONAI's trainer: forward, data, batches, and the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import WeightedRandomSampler

from labelmine.data.classes import ClassMap
from labelmine.data.items import Item
from labelmine.data.phantom import write_phantom_set
from labelmine.data.sources import find_items
from labelmine.errors import ConfigError, DataError
from labelmine.prompts import Prompts, PromptSimulator
from labelmine.teachers.base import TeacherMasks
from labelmine.teachers.build import build_compact_teacher, frozen, save_compact_teacher
from labelmine.teachers.compact import CompactTeacher, load_imagenet_encoder
from labelmine.transforms import BatchAugment
from labelmine.weights import load_state_dict_safely
from labelmine.workflows.teacher_exam import prompted_dice

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]


class PromptedForward(nn.Module):
    """A teacher as a network of images and prompts, so that MONAI's ``SupervisedTrainer`` can train it.

    Args:
        teacher: The teacher to train.
        bfloat16: Run under bfloat16 autocast (faster on a GPU and on CPUs with AVX512-BF16).
    """

    def __init__(self, teacher: CompactTeacher, bfloat16: bool = False) -> None:
        """Keep the teacher as the only submodule."""
        super().__init__()
        self.teacher = teacher.to(memory_format=torch.channels_last)
        self.mixed = bfloat16

    def forward(self, images: Tensor, prompts: Prompts) -> TeacherMasks:
        """Encode (B, 3, H, W) images in [0, 1] and answer the prompts, with gradients."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.mixed):
            return self.teacher.decode(self.teacher.encode(images), prompts, (images.shape[-2], images.shape[-1]))


class PrepareSimulatedPrompts:
    """``prepare_batch`` of a trainer: augment the batch, draw an object per image and a prompt for it.

    Args:
        augment: Called on the batch's ``image``, ``label`` and ``weight``.
        simulate: Turns gold (B, 1, H, W) into prompts and object masks.
    """

    def __init__(self, augment: BatchAugment, simulate: PromptSimulator) -> None:
        """Keep both steps."""
        self.augment = augment
        self.simulate = simulate

    def set_epoch(self, epoch: int) -> None:
        """Seed both steps from the epoch's number; see ``EpochSeed``."""
        self.augment.set_epoch(epoch)
        self.simulate.set_epoch(epoch)

    def __call__(
        self, batch: Batch, device: torch.device | str, non_blocking: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor, tuple[Prompts], dict[str, Any]]:
        """Return images, targets (N, 1, H, W), the network's further arguments and no keyword arguments."""
        batch = self.augment(batch)
        prompts, targets = self.simulate(batch["label"].amax(1, keepdim=True))
        images = batch["image"].to(device, non_blocking=non_blocking)
        return images, targets.to(device, non_blocking=non_blocking), (prompts.to(device),), {}


@dataclass(frozen=True)
class TeacherSets:
    """Several image sets with masks, concatenated.

    Attributes:
        items: Items with gold of all sets, in order.
        sizes: Number of items per set.
        classes: Any positive mask value is an object.
    """

    items: list[Item]
    sizes: list[int]
    classes: ClassMap


def load_teacher_sets(
    dataset_dirs: Sequence[str], output_dir: str, phantom_count: int = 400, phantom_size: int = 192, seed: int = 0
) -> TeacherSets:
    """Find the labelled images of several sets; the name ``phantom`` stands for made images.

    Raises:
        ConfigError: When no set is named.
        DataError: When a set is missing or holds no masks.
    """
    if not dataset_dirs:
        raise ConfigError("dataset_dirs: name at least one image set with masks, for example \"['DIR', 'phantom']\".")
    sets = []
    for folder in dataset_dirs:
        if folder == "phantom":
            folder = str(
                write_phantom_set(Path(output_dir) / "phantom", phantom_count, 0, 0, seed + 1000, phantom_size)
            )
        found = [item for item in find_items(folder) if "label" in item]
        if not found:
            raise DataError(f"{Path(folder).name}: no image with a mask. A teacher learns from masks alone.")
        sets.append(found)
    return TeacherSets([i for s in sets for i in s], [len(s) for s in sets], ClassMap(names=("object",), values=None))


def start_compact_teacher(
    image_size: int = 256, encoder_weights: str | None = None, start_from: str | None = None
) -> CompactTeacher:
    """Return a compact teacher to train: from an earlier one, from ImageNet weights, or from scratch."""
    if start_from:
        return build_compact_teacher(start_from).requires_grad_(True)
    teacher = CompactTeacher(image_size)
    if encoder_weights:
        load_imagenet_encoder(teacher, load_state_dict_safely(encoder_weights)[0])
    return teacher


def parameter_groups(teacher: CompactTeacher) -> list[dict[str, Any]]:
    """Return two groups for an optimizer: the pretrained image features first, then all that is new."""
    pretrained = list(teacher.image_encoder.features.parameters())
    ids = {id(p) for p in pretrained}
    return [{"params": pretrained}, {"params": [p for p in teacher.parameters() if id(p) not in ids]}]


def balanced_sampler(sizes: Sequence[int], samples: int) -> WeightedRandomSampler:
    """Draw ``samples`` from concatenated image sets, each set with a share proportional to the root of its size.

    Draws come from torch's global generator, which ``EpochSeed`` seeds.
    """
    weights = np.concatenate([np.full(n, n**-0.5) for n in sizes])
    return WeightedRandomSampler(weights.tolist(), samples, replacement=True)


def finish_teacher(
    teacher: CompactTeacher,
    sets: TeacherSets,
    output_dir: str,
    exam: Iterable[Batch] | None,
    recipe: dict[str, Any],
    jitter: float = 0.12,
) -> dict[str, Any]:
    """Write ``teacher.safetensors`` and, after the exam if there is one, ``metrics.json``; return the metrics.

    Args:
        teacher: The trained teacher.
        sets: What it was trained on.
        output_dir: Where both files go.
        exam: Views of images it never saw; None: no exam.
        recipe: Knobs that the file should remember.
        jitter: Largest shift of an exam box's edge as a fraction of the box's side.
    """
    folder = Path(output_dir)
    made = (folder / "phantom").absolute()
    seen = [item["image"] for item in sets.items if made not in Path(item["image"]).absolute().parents]
    path = save_compact_teacher(frozen(teacher), folder / "teacher.safetensors", seen, recipe, teacher.trained_on)
    metrics = {
        "recipe": recipe,
        "n_images": sum(sets.sizes),
        "exam": prompted_dice(build_compact_teacher(str(path)), exam, jitter) if exam else None,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    logger.info("wrote %s; exam: %s", path.name, metrics["exam"])
    return metrics
