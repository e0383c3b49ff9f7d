"""What ``configs/train_teacher.yaml`` needs beyond MONAI's trainer: the network's forward, its batches, its exam."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from torch import Tensor, nn
from torch.utils.data import WeightedRandomSampler
from tqdm import tqdm

from labelmine.data.classes import ClassMap
from labelmine.data.items import Item
from labelmine.data.phantom import write_phantom_set
from labelmine.data.sources import find_items
from labelmine.errors import ConfigError, DataError
from labelmine.prompts import Prompts, PromptSimulator, components, jitter_box, outer_box
from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.build import build_compact_teacher, frozen, save_compact_teacher
from labelmine.teachers.compact import CompactTeacher, load_imagenet_encoder
from labelmine.teachers.weights import load_state_dict_safely
from labelmine.transforms import BatchAugment

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
        self.bfloat16 = bfloat16

    def forward(self, images: Tensor, prompts: Prompts) -> TeacherMasks:
        """Encode (B, 3, H, W) images in [0, 1] and answer the prompts, with gradients."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
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
                write_phantom_set(Path(output_dir) / "phantom", phantom_count, 1, 1, seed + 1000, phantom_size)
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


def exam_samples(dataset_dir: str | None, transform: Callable[[Item], Batch]) -> Iterable[Batch] | None:
    """Return the views of an image set's labelled images, read one by one, or None without a set."""
    if dataset_dir is None:
        return None
    return Dataset([item for item in find_items(dataset_dir) if "label" in item], transform)


@torch.inference_mode()
def prompted_dice(teacher: Teacher, samples: Iterable[Batch], jitter: float = 0.12, seed: int = 0) -> dict[str, Any]:
    """Examine a teacher: one jittered box per gold component, all answers of an image united, Dice per image.

    Args:
        teacher: The teacher to examine, on images that it never saw.
        samples: Views with ``image`` (3, S, S) and ``label`` (K, S, S), see ``StudentView``; empty gold is passed over.
        jitter: Largest shift of a box's edge as a fraction of the box's side.
        seed: Seed of the jitter.

    Returns:
        ``dice`` and, for comparison, ``box_dice`` (the jittered boxes themselves, filled): mean, std and n each.
    """
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {"dice": [], "box_dice": []}
    for sample in tqdm(samples, desc="examine teacher"):
        gold = sample["label"].amax(0).numpy() > 0.5
        objects = components(gold)
        if not objects:
            continue
        boxes = torch.from_numpy(np.stack([jitter_box(outer_box(o), jitter, gold.shape, rng) for o in objects]))
        index = torch.zeros(len(boxes), dtype=torch.int64)
        prompts = Prompts(image_index=index, class_index=index, boxes=boxes)
        answer = teacher.decode(teacher.encode(sample["image"][None]), prompts, gold.shape)
        scores["dice"].append(_dice((answer.logits > 0).any(0).numpy(), gold))
        scores["box_dice"].append(_dice(_filled(boxes, gold.shape), gold))
    return {name: {"mean": float(np.mean(v)), "std": float(np.std(v)), "n": len(v)} for name, v in scores.items()}


def _filled(boxes: Tensor, size: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(size, bool)
    for x0, y0, x1, y1 in boxes.round().int().tolist():
        mask[y0:y1, x0:x1] = True
    return mask


def _dice(mask: np.ndarray, gold: np.ndarray) -> float:
    return float(2 * (mask & gold).sum() / (mask.sum() + gold.sum()))


def finish_teacher(
    teacher: CompactTeacher, sets: TeacherSets, output_dir: str, exam: Iterable[Batch] | None, recipe: dict[str, Any]
) -> dict[str, Any]:
    """Write ``teacher.safetensors`` and, after the exam if there is one, ``metrics.json``; return the metrics."""
    folder = Path(output_dir)
    made = folder / "phantom"
    seen = [item["image"] for item in sets.items if made not in Path(item["image"]).parents]
    path = save_compact_teacher(frozen(teacher), folder / "teacher.safetensors", seen, recipe, teacher.trained_on)
    metrics = {
        "recipe": recipe,
        "n_images": sum(sets.sizes),
        "exam": prompted_dice(build_compact_teacher(str(path)), exam) if exam else None,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    logger.info("wrote %s; exam: %s", path.name, metrics["exam"])
    return metrics
