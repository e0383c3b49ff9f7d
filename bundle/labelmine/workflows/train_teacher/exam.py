"""The exam of a teacher: jittered boxes around gold objects that it never saw, Dice per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from torch import Tensor

from labelmine.data.items import Item
from labelmine.data.sources import find_items
from labelmine.progress import progress
from labelmine.prompts import Prompts, components, jitter_box, outer_box
from labelmine.teachers.base import Teacher
from labelmine.transforms.view import TEACHER_IMAGE, teacher_images

Sample = Mapping[str, Any]


def exam_samples(dataset_dir: str | None, transform: Callable[[Item], Sample]) -> Iterable[Sample] | None:
    """Return the views of an image set's labelled images, read one by one, or None without a set."""
    if dataset_dir is None:
        return None
    samples: Iterable[Sample] = Dataset([item for item in find_items(dataset_dir) if "label" in item], transform)
    return samples


@torch.inference_mode()
def prompted_dice(teacher: Teacher, samples: Iterable[Sample], jitter: float = 0.12, seed: int = 0) -> dict[str, Any]:
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
    for sample in progress(samples, "examine teacher"):
        gold = sample["label"].amax(0).numpy() > 0.5
        objects = components(gold)
        if not objects:
            continue
        boxes = torch.from_numpy(np.stack([jitter_box(outer_box(o), jitter, gold.shape, rng) for o in objects]))
        index = torch.zeros(len(boxes), dtype=torch.int64)
        prompts = Prompts(image_index=index, class_index=index, boxes=boxes)
        seen = teacher_images({key: sample[key][None] for key in ("image", TEACHER_IMAGE) if key in sample})
        answer = teacher.decode(teacher.encode(seen), prompts, gold.shape)
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
