"""The labels of a run as a reviewer goes through them: in the order of the ranking, each with what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelmine.data import ImageSet, Item, LabelStore, LoadItem, encode_png, read_image, read_label
from labelmine.data.items import volume_id
from labelmine.errors import DataError
from labelmine.prediction import Predictor
from labelmine.review.correcting import in_image
from labelmine.review.pictures import Picture, picture_of, thumbnail
from labelmine.transforms import StudentView, asked_part, to_original

#: Pictures, masks and predictions kept in memory, each.
KEPT = 24


@dataclass(frozen=True)
class Case:
    """One label to look at.

    Attributes:
        item: Its image.
        record: What the manifest says of the label.
        rank: From 1.
        gain: What correcting it should bring: 1 - expected Dice.
        reason: Why it is here, in words.
    """

    item: Item
    record: Mapping[str, Any]
    rank: int
    gain: float
    reason: str


class Cases:
    """All labels of a run that a reviewer may judge, by their place in the ranking, from 0.

    Args:
        images: The image set.
        store: The labels.
        table: The ranking, as ``write_review`` returns it.
        predictor: The student; asked only when its own mask is looked at.
    """

    def __init__(self, images: ImageSet, store: LabelStore, table: pd.DataFrame, predictor: Predictor) -> None:
        """Look the images up; none is read yet."""
        self.images = images
        self.store = store
        self.predictor = predictor
        items = {item["id"]: item for item in images.items}
        records = {record["id"]: record for record in store.records()}
        rows = [row for row in table.to_dict("records") if row["id"] in items and row["id"] in records]
        self.cases = [
            Case(items[row["id"]], records[row["id"]], place, float(row["gain"]), str(row["reason"]))
            for place, row in enumerate(rows, start=1)
        ]
        keep = lru_cache(maxsize=KEPT)
        self.picture, self.label, self.student = keep(self._picture), keep(self._label), keep(self._student)
        self.thumbnail = lru_cache(maxsize=2000)(self._thumbnail)

    def __len__(self) -> int:
        """Number of labels."""
        return len(self.cases)

    def __getitem__(self, place: int) -> Case:
        """Return a case.

        Raises:
            DataError: There is none at that place.
        """
        if not 0 <= place < len(self.cases):
            raise DataError(f"case: expected a number of 0 to {len(self.cases) - 1}, got {place}")
        return self.cases[place]

    def label_sha256(self, place: int) -> str:
        """Return the hash of a label as PNG of class values, as ``DecisionLog`` names masks."""
        return hashlib.sha256(encode_png(self.images.classes.decode(self.label(place)))).hexdigest()

    def gold(self, place: int) -> NDArray[np.bool_] | None:
        """Return the gold (K, H, W) that the run set aside; None where there is none."""
        item = self[place].item
        path = item.get("dropped_label", item.get("label"))
        if path is None:
            return None
        return np.asarray(read_label(item, path, self.images.classes, self.images.slice_axis) > 0)

    def prompts(self, place: int) -> list[dict[str, Any]]:
        """Return what the student asked the teacher, in pixels of the image at its original size."""
        record = self[place].record
        height, width = self.label(place).shape[1:]
        size, side = (height, width), int(record.get("view_size", max(height, width)))
        return [in_image(row, size, side) for row in record.get("prompts") or []]

    def summary(self, place: int) -> dict[str, Any]:
        """Return what the strip of thumbnails shows and filters by; nothing is read for it."""
        case = self[place]
        signals = case.record.get("signals") or {}
        return {
            "id": case.item["id"],
            "expected": round(1 - case.gain, 4),
            "reason": case.reason,
            "used": bool(case.record["accepted"]),
            "source": str(case.record.get("drawn_by", "")) or str(case.record.get("labeler", "")),
            "group": case.item["group"] if case.item["group"] != case.item["id"] else "",
            "agreement": signals.get("student_dice"),
            "volume": volume_id(case.item) if "frame" in case.item else "",
            "frame": case.item.get("frame", 0),
            "gold": "dropped_label" in case.item or "label" in case.item,
        }

    @cached_property
    def sizes(self) -> list[float | None]:
        """How much of its image each label covers, in percent, any class; None where it cannot be read."""
        return [self._size(place) for place in range(len(self.cases))]

    def _size(self, place: int) -> float | None:
        try:
            return round(100 * float(self._label(place).any(axis=0).mean()), 3)
        except DataError:
            return None

    def _picture(self, place: int) -> Picture:
        return picture_of(self[place].item, self.images)

    def _label(self, place: int) -> NDArray[np.bool_]:
        return np.asarray(self.store.read(self[place].item)[0] > 0)

    def _student(self, place: int) -> NDArray[np.bool_]:
        item = self[place].item.copy()
        item.pop("label", None)
        load = LoadItem(self.images.classes, self.images.window, self.images.slice_axis)
        view = StudentView(self.predictor.image_size)(load(item))
        device = next(self.predictor.student.parameters()).device
        (probability,) = self.predictor.probabilities({k: v[None] for k, v in asked_part(view, device).items()}).cpu()
        return (to_original(probability, self.label(place).shape[1:]) > 0.5).numpy()

    def _thumbnail(self, place: int) -> bytes:
        image = read_image(self[place].item, self.images.window, self.images.slice_axis)
        return thumbnail(image, self.label(place))
