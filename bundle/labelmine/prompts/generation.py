"""Prompts from a probability map: where the student is sure, and how far it reaches (S1, step 2)."""

from __future__ import annotations

import zlib
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.prompts.prompts import Prompts
from labelmine.prompts.simulation import components, outer_box
from labelmine.ranges import check_number

Kind = Literal["points", "box", "mask"]
KINDS: tuple[Kind, ...] = ("points", "box", "mask")
PointChoice = Literal["highest", "centre"]
LOGIT_CLIP = 1e-4  # keeps mask prompts within +-9.2, the range of SAM's own low-resolution logits


class PromptGenerator:
    """Turn the student's probabilities into prompts for the teacher.

    Args:
        kinds: Any of ``points``, ``box``, ``mask``. S1 found points with box best and the mask harmful.
        n_points: Positive points per object, drawn from its highest probabilities (random among ties); S1 does not
            state how many, 3 is our choice.
        point_choice: Where positive points lie. ``highest``: at the highest probabilities (S1). ``centre``: deepest
            inside the object, which with one point is the middle that S2 asks for, yet never outside of a bent object.
        n_negative: Negative points per object: the lowest probabilities inside the box grown by half its size. (S2
            means such points too, but its code marked them as padding and swapped their axes.)
        tau: Threshold in (0, 1) of the mask whose outer box is taken; S1 does not state it.
        margin: Widening of the box on each edge, as a fraction of its side.
        per_component: One set of prompts per connected component; otherwise one for the whole mask, as S1 does it.
        min_size: Components with fewer pixels (of the student's view) are passed over.
        mask_size: Side of the mask prompt, the decoder's input resolution (256 for SAM); only with ``mask``.
        seed: Seed of the draw among ties.

    Raises:
        ConfigError: When a knob is out of its range.

    Example:
        >>> probability = torch.zeros(1, 1, 32, 32)
        >>> probability[..., 4:10, 8:20] = 0.9
        >>> PromptGenerator(kinds=["box"])(probability).boxes.tolist()
        [[8.0, 4.0, 20.0, 10.0]]
    """

    def __init__(
        self,
        kinds: tuple[Kind, ...] | list[Kind] = ("points", "box"),
        *,
        n_points: int = 3,
        point_choice: PointChoice = "highest",
        n_negative: int = 0,
        tau: float = 0.5,
        margin: float = 0.0,
        per_component: bool = True,
        min_size: int = 10,
        mask_size: int = 256,
        seed: int = 0,
    ) -> None:
        """Check and keep the knobs."""
        if not isinstance(kinds, list | tuple) or not kinds or any(kind not in KINDS for kind in kinds):
            raise ConfigError(f"prompt_kinds: expected a list of one or more of {', '.join(KINDS)}. Got: {kinds!r}")
        if point_choice not in get_args(PointChoice):
            raise ConfigError(f"point_choice: expected {' or '.join(get_args(PointChoice))}. Got: {point_choice!r}")
        check_number("tau", tau, 0, 1, open_low=True, open_high=True)
        check_number("n_points", n_points, int("points" in kinds), whole=True)
        check_number("n_negative", n_negative, 0, whole=True)
        check_number("margin", margin, 0)
        check_number("min_size", min_size, 1, whole=True)
        check_number("mask_size", mask_size, 1, whole=True)
        self.kinds = tuple(kinds)
        self.n_points = n_points if "points" in kinds else 0
        self.point_choice = point_choice
        self.n_negative = n_negative
        self.tau = tau
        self.margin = margin
        self.per_component = per_component
        self.min_size = min_size
        self.mask_size = mask_size
        self.seed = seed

    def __call__(self, probability: Tensor) -> Prompts:
        """Return the prompts of all objects in (B, K, H, W) probabilities; images without an object bring none."""
        maps = probability.detach().float().cpu().numpy()
        index: list[tuple[int, int]] = []
        boxes, points, labels = [], [], []
        for b, c in np.ndindex(maps.shape[:2]):
            # Seeded by content, so that an image gets the same points in any batch and after any resume.
            rng = np.random.default_rng([self.seed, zlib.crc32(np.ascontiguousarray(maps[b, c]).tobytes())])
            for target in self.objects(maps[b, c]):
                box = self._box(target)
                index.append((b, c))
                boxes.append(box)
                drawn = self._points(maps[b, c], target, box, rng)
                points.append(drawn[0])
                labels.append(drawn[1])
        return self._assemble(probability, index, boxes, points, labels)

    def objects(self, probability: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
        """Return the objects (H, W) of a class that prompts ask for, in their order."""
        found = components(probability > self.tau, self.min_size)
        if self.per_component or not found:
            return found
        return [np.logical_or.reduce(found)]

    def _box(self, target: NDArray[np.bool_]) -> NDArray[np.float32]:
        box = outer_box(target)
        return _grown(box, self.margin, target.shape) if self.margin else box

    def _points(
        self,
        probability: NDArray[np.float32],
        target: NDArray[np.bool_],
        box: NDArray[np.float32],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        fitness = _depth(target) if self.point_choice == "centre" else probability
        positive = _highest(fitness, target, self.n_points, rng)
        x0, y0, x1, y1 = _grown(box, 0.5, target.shape).astype(int)
        around = np.zeros_like(target)
        around[y0:y1, x0:x1] = True
        # Only pixels that the student holds for background: near an object there may be another one.
        negative = _highest(-probability, around & (probability <= self.tau), self.n_negative, rng)
        points = np.zeros((self.n_points + self.n_negative, 2), np.float32)
        labels = np.full(len(points), -1, np.float32)
        points[: len(positive)], labels[: len(positive)] = positive, 1
        end = self.n_points + len(negative)
        points[self.n_points : end], labels[self.n_points : end] = negative, 0
        return points, labels

    def _assemble(
        self,
        probability: Tensor,
        index: list[tuple[int, int]],
        boxes: list[NDArray[np.float32]],
        points: list[NDArray[np.float32]],
        labels: list[NDArray[np.float32]],
    ) -> Prompts:
        n, p = len(index), self.n_points + self.n_negative
        where = torch.tensor(index, dtype=torch.int64).reshape(n, 2)
        masks = None
        if "mask" in self.kinds:
            chosen = probability.detach().float().cpu()[where[:, 0], where[:, 1]][:, None]
            masks = F.interpolate(chosen, (self.mask_size, self.mask_size), mode="bilinear").logit(eps=LOGIT_CLIP)
        return Prompts(
            image_index=where[:, 0],
            class_index=where[:, 1],
            boxes=torch.from_numpy(np.array(boxes, np.float32).reshape(n, 4)) if "box" in self.kinds else None,
            points=torch.from_numpy(np.array(points, np.float32).reshape(n, p, 2)) if p else None,
            point_labels=torch.from_numpy(np.array(labels, np.float32).reshape(n, p)) if p else None,
            masks=masks,
        ).to(probability.device)


def _highest(
    value: NDArray[np.float32], where: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return up to ``count`` points (x, y) of the highest values inside ``where``, random among equal ones."""
    candidates = np.argwhere(where)
    order = np.lexsort((rng.random(len(candidates)), -value[where]))
    return candidates[order[:count], ::-1].astype(np.float32)


def _depth(target: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest one outside the object; beyond the image all is outside."""
    depth = ndimage.distance_transform_edt(np.pad(target, 1))
    return np.asarray(depth[1:-1, 1:-1], dtype=np.float32)


def _grown(box: NDArray[np.float32], fraction: float, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Widen a box on each edge by a fraction of its side, within an image of ``size`` (H, W)."""
    side = np.tile(box[2:] - box[:2], 2) * fraction
    grown = box + side * np.array([-1, -1, 1, 1], np.float32)
    return np.clip(grown, 0, [size[1], size[0], size[1], size[0]]).astype(np.float32)
