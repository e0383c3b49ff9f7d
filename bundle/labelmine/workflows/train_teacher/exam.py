"""The exam of a teacher: jittered boxes around gold objects that it never saw, Dice per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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

MAX_OBJECTS = 32  # of an image: of hundreds of nuclei some tell as much as all


def exam_samples(dataset_dir: str | None, transform: Callable[[Item], Sample]) -> Iterable[Sample] | None:
    """Return the views of an image set's labelled images, read one by one, or None without a set."""
    if dataset_dir is None:
        return None
    samples: Iterable[Sample] = Dataset([item for item in find_items(dataset_dir) if "label" in item], transform)
    return samples


@torch.inference_mode()
def prompted_dice(teacher: Teacher, samples: Iterable[Sample], jitter: float = 0.12, seed: int = 0) -> dict[str, Any]:
    """Examine a teacher: one jittered box per gold object, the answers for a mask value united, Dice per image.

    Of an image with several values (classes, instances) it is the mean over them. Of more than ``MAX_OBJECTS`` objects
    that many are drawn.

    Args:
        teacher: The teacher to examine, on images that it never saw.
        samples: Views with ``image`` (3, S, S) and ``label`` (1, S, S) of mask values, see ``views_of_objects``; those
            without an object are passed over.
        jitter: Largest shift of a box's edge as a fraction of the box's side.
        seed: Seed of the jitter.

    Returns:
        ``dice`` and, for comparison, ``box_dice`` (the jittered boxes themselves, filled): mean, std and n each.
    """
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {"dice": [], "box_dice": []}
    for sample in progress(samples, "examine teacher"):
        gold = sample["label"][0].round().int().numpy()
        objects = components(gold)
        if not objects:
            continue
        if len(objects) > MAX_OBJECTS:
            objects = [objects[n] for n in np.sort(rng.choice(len(objects), MAX_OBJECTS, replace=False))]
        boxes = torch.from_numpy(np.stack([jitter_box(outer_box(o), jitter, gold.shape, rng) for o in objects]))
        index = torch.zeros(len(boxes), dtype=torch.int64)
        prompts = Prompts(image_index=index, class_index=index, boxes=boxes)
        seen = teacher_images({key: sample[key][None] for key in ("image", TEACHER_IMAGE) if key in sample})
        answer = teacher.decode(teacher.encode(seen), prompts, gold.shape)
        values = [int(gold[o][0]) for o in objects]
        scores["dice"].append(_mean_dice((answer.logits > 0).numpy(), objects, values))
        scores["box_dice"].append(_mean_dice(_filled(boxes, gold.shape), objects, values))
    return {name: {"mean": float(np.mean(v)), "std": float(np.std(v)), "n": len(v)} for name, v in scores.items()}


def _filled(boxes: Tensor, size: tuple[int, ...]) -> np.ndarray:
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.round().int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


def _mean_dice(masks: np.ndarray, objects: Sequence[np.ndarray], values: Sequence[int]) -> float:
    """Return the mean over mask values of the Dice between the masks (N, H, W) and the objects of a value, united."""
    scores = []
    for value in dict.fromkeys(values):
        own = [n for n, other in enumerate(values) if other == value]
        mask, gold = masks[own].any(0), np.any([objects[n] for n in own], axis=0)
        scores.append(2 * (mask & gold).sum() / (mask.sum() + gold.sum()))
    return float(np.mean(scores))
