"""Prompts: what is asked of a promptable teacher, for many objects in many images at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """A flat list of N objects, each with its image, its class and what points at it.

    Coordinates are pixels of the image that the student saw, ``(x, y)``, origin at the centre of the top-left pixel.

    Attributes:
        image_index: (N,) int64, position of the object's image in the batch.
        class_index: (N,) int64, foreground class of the object, 0-based.
        boxes: (N, 4) float32 ``x0, y0, x1, y1`` with exclusive ends, or None.
        points: (N, P, 2) float32, or None.
        point_labels: (N, P) float32: 1 positive, 0 negative, -1 padding (segment-anything's own meaning); with points.
        masks: (N, 1, h, w) float32 logits at the teacher decoder's input resolution, or None.

    Raises:
        ValueError: When the parts disagree in length or points come without labels.

    Example:
        >>> prompts = Prompts(image_index=torch.tensor([0]), class_index=torch.tensor([0]),
        ...                   boxes=torch.tensor([[2.0, 3.0, 10.0, 12.0]]))
        >>> len(prompts)
        1
    """

    image_index: Tensor
    class_index: Tensor
    boxes: Tensor | None = None
    points: Tensor | None = None
    point_labels: Tensor | None = None
    masks: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that all parts speak of the same N objects."""
        n = len(self.image_index)
        expected = {
            "class_index": (self.class_index, (n,)),
            "boxes": (self.boxes, (n, 4)),
            "points": (self.points, (n, -1, 2)),
            "point_labels": (self.point_labels, (n, -1)),
            "masks": (self.masks, (n, 1, -1, -1)),
        }
        for name, (value, shape) in expected.items():
            if value is not None and not _matches(tuple(value.shape), shape):
                raise ValueError(f"{name}: expected shape {shape} (-1: any) for {n} objects. Got: {tuple(value.shape)}")
        if (self.points is None) != (self.point_labels is None):
            raise ValueError("points and point_labels come together: give both or neither.")

    def __len__(self) -> int:
        """Return the number of objects N."""
        return len(self.image_index)

    def to(self, device: torch.device | str) -> Prompts:
        """Return the same prompts on another device."""
        parts: dict[str, Any] = {k: v if v is None else v.to(device) for k, v in vars(self).items()}
        return Prompts(**parts)

    def of_image(self, index: int) -> list[dict[str, Any]]:
        """Return image ``index``'s prompts as JSON-able dicts, for manifests and pictures."""
        rows = []
        for n in torch.nonzero(self.image_index == index).flatten().tolist():
            row: dict[str, Any] = {"class": int(self.class_index[n])}
            if self.boxes is not None:
                row["box"] = [round(v, 2) for v in self.boxes[n].tolist()]
            if self.points is not None and self.point_labels is not None:
                kept = self.point_labels[n] >= 0
                row["points"] = [[round(v, 2) for v in p] for p in self.points[n][kept].tolist()]
                row["point_labels"] = [int(v) for v in self.point_labels[n][kept].tolist()]
            rows.append(row)
        return rows


def _matches(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(e in (-1, s) for s, e in zip(shape, expected, strict=True))
