"""Clicks and boxes on the page: the teacher of the run answers from its cached embedding."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelmine.data import Item, Window, read_image
from labelmine.errors import DataError
from labelmine.prompts import Prompts
from labelmine.teachers import Teacher
from labelmine.transforms import StudentView, teacher_images, to_original
from labelmine.transforms.view import view_extent

#: Embeddings kept in memory.
KEPT = 32
#: Points that one question may hold.
MAX_POINTS = 64


@dataclass(frozen=True)
class Answer:
    """What the teacher answered to the prompts of one object.

    Attributes:
        mask: (H, W) at the image's size.
        predicted_iou: The teacher's own estimate in [0, 1].
        encode_seconds: Time until the embedding was there: next to nothing where it was in memory.
        decode_seconds: Time of the answer itself.
    """

    mask: NDArray[np.bool_]
    predicted_iou: float
    encode_seconds: float
    decode_seconds: float


class ReadAs(Protocol):
    """How images are read: an image set, or a run that tells it."""

    @property
    def window(self) -> Window | None:
        """(centre, width) of deep images, or None."""

    @property
    def slice_axis(self) -> int:
        """Axis along which volumes are cut."""


class Corrector:
    """Asks a teacher about images of a run, one object at a time; safe to use from several threads.

    Images are shown to it exactly as the run showed them, so that embeddings are found in the cache.

    Args:
        teacher: Of the run, cached, with the decoder that gold fitted where the run kept one.
        images: How they are read.
        device: Where it computes.
    """

    def __init__(self, teacher: Teacher, images: ReadAs, device: torch.device | str = "cpu") -> None:
        """Keep the teacher; nothing is asked yet."""
        self.teacher = teacher
        self.images = images
        self.device = torch.device(device)
        self._lock = threading.Lock()
        self._embeddings: OrderedDict[str, tuple[Tensor, int]] = OrderedDict()

    @property
    def source(self) -> dict[str, str]:
        """Who answers, for the record."""
        teacher = self.teacher
        fitted = {"decoder_sha256": teacher.decoder_sha256} if teacher.decoder_sha256 else {}
        return {"teacher": teacher.name, "teacher_sha256": teacher.weights_sha256, **fitted}

    def prepare(self, item: Item, record: Mapping[str, Any]) -> None:
        """Have the embedding of an image ready before it is asked about."""
        with self._lock:
            self._embedding(item, record)

    @torch.no_grad()
    def ask(self, item: Item, record: Mapping[str, Any], prompt: Mapping[str, Any]) -> Answer:
        """Ask about one object.

        Args:
            item: The image.
            record: What the manifest says of its label: at which size the run showed it to the teacher.
            prompt: ``points`` [[x, y], ...] with ``point_labels`` (1 positive, 0 negative), ``box`` [x0, y0, x1, y1],
                or both, in pixels of the image at its original size; see ``check_prompt``.

        Raises:
            DataError: A prompt that cannot be asked.
        """
        size = self._size(item)
        check_prompt(prompt, size)
        with self._lock:
            started = time.perf_counter()
            embedding, side = self._embedding(item, record)
            encoded = time.perf_counter()
            asked = Prompts.from_records([[{**in_view(prompt, size, side), "class": 0}]]).to(self.device)
            answer = self.teacher.decode(embedding, asked, (side, side))
            mask = (to_original(answer.logits.float().sigmoid().cpu(), size)[0] > 0.5).numpy()
            ended = time.perf_counter()
        return Answer(mask, float(answer.predicted_iou[0]), encoded - started, ended - encoded)

    def _embedding(self, item: Item, record: Mapping[str, Any]) -> tuple[Tensor, int]:
        """Return the embedding, and the side of the square that it is of."""
        if item["id"] not in self._embeddings:
            image = torch.from_numpy(read_image(item, self.images.window, self.images.slice_axis)).permute(2, 0, 1)
            view = StudentView(int(record["view_size"]), int(record.get("teacher_size", 0)) or None)
            seen = view({"image": image.contiguous(), "label": torch.zeros(1, *image.shape[1:])})
            batch = {key: value[None] for key, value in seen.items() if key in ("image", "teacher_image")}
            shown = teacher_images(batch).to(self.device)
            self._embeddings[item["id"]] = (self.teacher.encode(shown), int(shown.shape[-1]))
        self._embeddings.move_to_end(item["id"])
        while len(self._embeddings) > KEPT:
            self._embeddings.popitem(last=False)
        return self._embeddings[item["id"]]

    def _size(self, item: Item) -> tuple[int, int]:
        image = read_image(item, self.images.window, self.images.slice_axis)
        return image.shape[0], image.shape[1]


def check_prompt(prompt: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Refuse a prompt that no teacher can answer.

    Args:
        prompt: As ``Corrector.ask`` takes it.
        size: (H, W) of the image.

    Raises:
        DataError: No positive point and no box, too many points, or places outside of the image.
    """
    points, labels, box = prompt.get("points", []), prompt.get("point_labels", []), prompt.get("box")
    try:
        places = np.asarray([*points, *([box[:2], box[2:]] if box else [])], dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise DataError("prompt: expected points [[x, y], ...] and a box [x0, y0, x1, y1] of numbers") from error
    limits = np.array([size[1], size[0]])
    if not np.isfinite(places).all() or (places < 0).any() or (places > limits).any():
        raise DataError(f"prompt: expected places inside the image of {size[1]} x {size[0]} pixels")
    if len(points) != len(labels) or any(label not in (0, 1) for label in labels) or len(points) > MAX_POINTS:
        raise DataError(f"prompt: expected up to {MAX_POINTS} points, each with a label of 1 or 0")
    if box is not None and (len(box) != 4 or box[2] <= box[0] or box[3] <= box[1]):
        raise DataError("prompt: expected a box x0, y0, x1, y1 with x0 < x1 and y0 < y1")
    if box is None and 1 not in labels:
        raise DataError("prompt: expected a positive point or a box, which say what is meant")


def in_view(prompt: Mapping[str, Any], size: tuple[int, int], side: int) -> dict[str, Any]:
    """Take a prompt from an image of (H, W) to its view of a side.

    On the page a pixel reaches from its number to the next; in ``Prompts`` a point's origin is a pixel's centre.

    Example:
        >>> in_view({"class": 0, "box": [10, 20, 30, 40], "points": [[1, 3]], "point_labels": [1]}, (200, 100), 100)
        {'class': 0, 'box': [5.0, 10.0, 15.0, 20.0], 'points': [[0.0, 1.0]], 'point_labels': [1]}
    """
    x, y = _factors(size, side)
    scaled = {"box": [v * f for v, f in zip(prompt["box"], (x, y, x, y), strict=True)]} if prompt.get("box") else {}
    if prompt.get("points"):
        points = [[px * x - 0.5, py * y - 0.5] for px, py in prompt["points"]]
        scaled |= {"points": points, "point_labels": list(prompt["point_labels"])}
    return {"class": prompt.get("class", 0), **scaled}


def in_image(row: Mapping[str, Any], size: tuple[int, int], side: int) -> dict[str, Any]:
    """Take a row of the manifest's prompts from a view of a side to its image of (H, W); undoes ``in_view``."""
    x, y = _factors(size, side)
    found: dict[str, Any] = {"class": row["class"]}
    if "box" in row:
        found["box"] = [v / f for v, f in zip(row["box"], (x, y, x, y), strict=True)]
    points = [[(px + 0.5) / x, (py + 0.5) / y] for px, py in row.get("points", [])]
    return found | {"points": points, "point_labels": list(row.get("point_labels", []))}


def _factors(size: tuple[int, int], side: int) -> tuple[float, float]:
    """Return by what x and y are multiplied on the way to the view."""
    height, width = view_extent(size, side)
    return width / size[1], height / size[0]
