"""Prompts: what is asked of a promptable teacher, for many objects in many images at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labelmine.errors import DataError

DECIMALS = 2  # of recorded coordinates: far below what a teacher's answer depends on
PADDING = -1


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
        DataError: When the parts disagree in length or points come without labels.

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
                raise DataError(f"{name}: expected shape {shape} (-1: any) for {n} objects. Got: {tuple(value.shape)}")
        if (self.points is None) != (self.point_labels is None):
            raise DataError("points and point_labels come together: give both or neither.")

    def __len__(self) -> int:
        """Return the number of objects N."""
        return len(self.image_index)

    def to(self, device: torch.device | str) -> Prompts:
        """Return the same prompts on another device."""
        parts: dict[str, Any] = {k: v if v is None else v.to(device) for k, v in vars(self).items()}
        return Prompts(**parts)

    def selected(self, rows: Tensor | slice) -> Prompts:
        """Return some of the objects: ``rows`` as a tensor is indexed, by numbers, booleans or a slice."""
        parts: dict[str, Any] = {k: v if v is None else v[rows] for k, v in vars(self).items()}
        return Prompts(**parts)

    def rounded(self) -> Prompts:
        """Return them with the coordinates that a record holds; asked so, a recorded prompt can be asked again."""
        return Prompts(**{**vars(self), "boxes": _rounded(self.boxes), "points": _rounded(self.points)})

    def of_image(self, index: int) -> list[dict[str, Any]]:
        """Return image ``index``'s prompts as JSON-able dicts, for manifests and pictures.

        Each has ``class``; ``box``; ``points`` and ``point_labels`` without padding, and ``padding``, the places it
        took, as a teacher attends to padding too; ``mask`` (true) where a mask prompt was, which is not recorded.
        """
        rows = []
        for n in torch.nonzero(self.image_index == index).flatten().tolist():
            row: dict[str, Any] = {"class": int(self.class_index[n])}
            if self.boxes is not None:
                row["box"] = _numbers(self.boxes[n])
            if self.points is not None and self.point_labels is not None:
                kept = self.point_labels[n] >= 0
                row["points"] = [_numbers(p) for p in self.points[n][kept]]
                row["point_labels"] = [int(v) for v in self.point_labels[n][kept].tolist()]
                if not kept.all():
                    row["padding"] = torch.nonzero(~kept).flatten().tolist()
            if self.masks is not None:
                row["mask"] = True
            rows.append(row)
        return rows

    @classmethod
    def from_records(cls, records: Sequence[Sequence[Mapping[str, Any]]]) -> Prompts:
        """Return the prompts of a batch from what ``of_image`` gave for each of its images.

        The inverse of ``of_image`` for rounded prompts, but that padding has the coordinates (0, 0), which no teacher
        looks at. Where objects have unequal numbers of points, padding fills them up at the end.

        Args:
            records: Per image the rows of its objects.

        Raises:
            DataError: Rows with a mask prompt, which no record holds, or rows of which some have a box or points and
                others have none.

        Example:
            >>> Prompts.from_records([[], [{"class": 0, "box": [2, 3, 10, 12.5]}]]).of_image(1)
            [{'class': 0, 'box': [2.0, 3.0, 10.0, 12.5]}]
        """
        rows = [(index, row) for index, image in enumerate(records) for row in image]
        if any(row.get("mask") for _, row in rows):
            raise DataError("prompts: a mask prompt is not in the record, so it cannot be asked again from it")
        for key in ("box", "points"):
            if len({key in row for _, row in rows}) > 1:
                raise DataError(f"prompts: expected '{key}' in all rows of a batch or in none; ask the others apart")
        points = [_padded(row) for _, row in rows] if rows and "points" in rows[0][1] else None
        length = max(map(len, points)) if points else 0
        filled = [[*p, *[(0.0, 0.0, PADDING)] * (length - len(p))] for p in points or []]
        table = None if points is None else torch.tensor(filled, dtype=torch.float32).reshape(len(rows), length, 3)
        boxes = torch.tensor([row["box"] for _, row in rows]).float() if rows and "box" in rows[0][1] else None
        return cls(
            image_index=torch.tensor([index for index, _ in rows], dtype=torch.int64),
            class_index=torch.tensor([row["class"] for _, row in rows], dtype=torch.int64),
            boxes=boxes,
            points=None if table is None else table[..., :2],
            point_labels=None if table is None else table[..., 2],
        )


def _rounded(coordinates: Tensor | None) -> Tensor | None:
    """Round as ``_numbers`` does: in float64, where the nearest hundredth is what Python's ``round`` finds."""
    return None if coordinates is None else coordinates.double().round(decimals=DECIMALS).to(coordinates.dtype)


def _numbers(coordinates: Tensor) -> list[float]:
    return [round(value, DECIMALS) for value in coordinates.tolist()]


def _padded(row: Mapping[str, Any]) -> list[tuple[float, float, int]]:
    """Return a row's points (x, y, label) with the padding where it was."""
    real = [(x, y, label) for (x, y), label in zip(row["points"], row["point_labels"], strict=True)]
    for place in row.get("padding", ()):
        real.insert(place, (0.0, 0.0, PADDING))
    return real


def _matches(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(e in (-1, s) for s, e in zip(shape, expected, strict=True))
