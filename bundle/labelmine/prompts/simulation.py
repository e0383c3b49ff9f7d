"""Simulated prompts: what a student or a person might have pointed at, drawn from gold masks to train a teacher."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from skimage.measure import label as connected_regions
from torch import Tensor

from labelmine.prompts.prompts import Prompts
from labelmine.ranges import check_number

BACKGROUND, FOREGROUND, PADDING = 0, 1, -1


def jitter_box(
    box: Tensor | np.ndarray, fraction: float, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Move each edge of a box by up to ``fraction`` of the box's side, uniformly, within the image.

    Args:
        box: ``x0, y0, x1, y1`` in pixels, exclusive ends.
        fraction: Largest shift of an edge as a fraction of the box's width or height.
        size: (H, W) of the image.
        rng: Source of randomness.

    Returns:
        (4,) float32 box that keeps at least two pixels of width and height inside the image.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    shift = rng.uniform(-fraction, fraction, 4) * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    moved = np.array([x0, y0, x1, y1]) + shift
    low = np.clip(moved[:2], 0, np.array([size[1], size[0]]) - 2)
    high = np.clip(moved[2:], low + 2, [size[1], size[0]])
    return np.concatenate([low, high]).astype(np.float32)


def components(mask: np.ndarray, min_size: int = 1) -> list[np.ndarray]:
    """Return the objects of a (H, W) mask that have ``min_size`` pixels.

    An object is a connected region (8-neighbourhood) of one value: of a boolean mask its components, of a map of
    classes or instances each part of each. 0 is background.
    """
    labels = connected_regions(mask, connectivity=2)
    sizes = np.bincount(labels.ravel())
    return [labels == n for n in range(1, len(sizes)) if sizes[n] >= min_size]


def outer_box(mask: np.ndarray) -> np.ndarray:
    """Return ``x0, y0, x1, y1`` (exclusive ends, float32) around the foreground of a boolean (H, W) mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


class PromptSimulator:
    """Draw a few objects per image and a prompt for each; the kind of prompt is drawn once per batch.

    Half of the batches are prompted by box, three tenths by box and points, two tenths by points alone. Box edges move
    by up to 12 % of the box's side in half of the images and up to 30 % in the others (our choice: a student's coarse
    mask is often that far off). Points lie deep inside the object, a negative point beside it in a third of the images.

    Args:
        seed: Seed of the randomness.
        min_size: Objects with fewer pixels are passed over.
        n_points: Largest number of positive points.
        n_objects: Largest number of objects drawn of an image.

    Raises:
        ConfigError: When a knob is out of its range.
    """

    def __init__(self, seed: int = 0, min_size: int = 12, n_points: int = 3, n_objects: int = 1) -> None:
        """Check and keep the knobs."""
        check_number("min_size", min_size, 1, whole=True)
        check_number("n_points", n_points, 1, whole=True)
        check_number("n_objects", n_objects, 1, whole=True)
        self.seed = seed
        self.min_size = min_size
        self.n_points = n_points
        self.n_objects = n_objects
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Seed from ``(seed, epoch)``, so that a resumed training draws the same prompts."""
        self.rng = np.random.default_rng([self.seed, epoch])

    def __call__(self, masks: Tensor) -> tuple[Prompts, Tensor]:
        """Return prompts for N objects and their own masks (N, 1, H, W), from gold (B, 1, H, W).

        Gold holds 0 and 1, or a value per class or instance. Images without an object large enough bring no prompt.
        """
        indices, objects = [], []
        for index, mask in enumerate(masks[:, 0].round().int().cpu().numpy()):
            found = components(mask, self.min_size)
            for n in self.rng.choice(len(found), min(self.n_objects, len(found)), replace=False) if found else ():
                indices.append(index)
                objects.append(found[n])
        kind = self.rng.choice(["box", "box+points", "points"], p=[0.5, 0.3, 0.2])
        targets = torch.from_numpy(np.stack(objects) if objects else np.zeros((0, *masks.shape[-2:]), bool))[:, None]
        return self._prompts(kind, indices, objects), targets.float()

    def _prompts(self, kind: str, indices: list[int], objects: list[np.ndarray]) -> Prompts:
        boxes = points = labels = None
        if "box" in kind:
            drawn = [jitter_box(outer_box(o), self.rng.choice([0.12, 0.3]), o.shape, self.rng) for o in objects]
            boxes = torch.from_numpy(np.stack(drawn)) if drawn else torch.zeros(0, 4)
        if "points" in kind:
            pairs = [self._points(o) for o in objects]
            points = torch.from_numpy(np.stack([p for p, _ in pairs])) if pairs else torch.zeros(0, 1, 2)
            labels = torch.from_numpy(np.stack([q for _, q in pairs])) if pairs else torch.zeros(0, 1)
        index = torch.tensor(indices, dtype=torch.int64)
        return Prompts(
            image_index=index, class_index=torch.zeros_like(index), boxes=boxes, points=points, point_labels=labels
        )

    def _points(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        depth = ndimage.distance_transform_edt(np.pad(target, 1))[1:-1, 1:-1]
        inside = np.argwhere(depth >= np.quantile(depth[target], 0.5))
        beside = np.argwhere(
            ndimage.binary_dilation(target, iterations=12) & ~ndimage.binary_dilation(target, iterations=3)
        )
        n = int(self.rng.integers(1, self.n_points + 1))
        points = np.zeros((self.n_points + 1, 2), np.float32)
        labels = np.full(self.n_points + 1, PADDING, np.float32)
        points[:n], labels[:n] = inside[self.rng.integers(len(inside), size=n), ::-1], FOREGROUND
        if len(beside) and self.rng.random() < 1 / 3:
            points[-1], labels[-1] = beside[self.rng.integers(len(beside)), ::-1], BACKGROUND
        return points, labels
