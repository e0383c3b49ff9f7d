"""Predictions at the images' original size: by the student alone, or refined by the teacher."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from labelmine.data import ImageSet, Item, LoadItem, pixel_spacing, read_label
from labelmine.evaluation import evaluate_masks
from labelmine.labelers import PromptedLabeler
from labelmine.labelers.prediction import predict, predict_once
from labelmine.networks import Student, StudentNetwork, TestTimeAverage
from labelmine.transforms import StudentView, to_original


class Predictor:
    """A student that answers at the original size of its images.

    Args:
        student: A trained student.
        image_size: Side of its view in pixels.
        refine: A labeler whose teacher refines what the student finds; None: the student alone (fast).
        tta: Whether it answers with the mean over an image's flips and turns, see ``TestTimeAverage``.
    """

    def __init__(
        self, student: Student, image_size: int, refine: PromptedLabeler | None = None, tta: bool = False
    ) -> None:
        """Keep the student in evaluation mode."""
        self.student = student.eval()
        self.asked: StudentNetwork = TestTimeAverage(student) if tta else student
        self.image_size = image_size
        self.refine = refine

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu", tta: bool = False) -> Predictor:
        """Return the predictor of a saved student."""
        student, metadata = Student.load(path)
        return cls(student.to(device), int(metadata["image_size"]), tta=tta)

    def probabilities(self, batch: dict[str, Tensor]) -> Tensor:
        """Return (B, K, S, S) probabilities of a batch of views."""
        if self.refine is None:
            return predict(self.asked, batch, self.student.exclusive)
        answer = self.refine(batch, self.asked)
        if bool(answer.accepted.all()):
            return answer.mask
        own = predict_once(self.asked, batch, self.student.exclusive, answer)
        return torch.where(answer.accepted.reshape(-1, 1, 1, 1), answer.mask, own)

    def masks(
        self, items: Sequence[Item], images: ImageSet, batch_size: int = 8, desc: str = "predict"
    ) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
        """Yield each item with its mask (K, H, W) at the original size, in the given order."""
        load = LoadItem(images.classes, images.window, images.slice_axis)
        views = Dataset(list(items), Compose([load, StudentView(self.image_size)]))
        device = next(self.student.parameters()).device
        rest = iter(items)
        for batch in tqdm(DataLoader(views, batch_size=batch_size), desc=desc, unit="batch"):
            moved = {key: batch[key].to(device) for key in ("image", "weight")}
            for probability, size in zip(self.probabilities(moved).cpu(), batch["original_size"], strict=True):
                mask = to_original(probability, (int(size[0]), int(size[1]))) > 0.5
                yield next(rest), mask.numpy()


def evaluate(predictor: Predictor, items: Sequence[Item], images: ImageSet, desc: str = "evaluate") -> pd.DataFrame:
    """Compare a predictor with the gold (or the dropped gold) of items; one row per image, see ``evaluate_masks``."""
    return compare(predictor.masks(items, images, desc=desc), images)


def compare(masks: Iterable[tuple[Item, NDArray[np.bool_]]], images: ImageSet) -> pd.DataFrame:
    """Compare masks (K, H, W) at original size with the gold, or the dropped gold, of their items.

    Distances in millimetres are given for the items whose image file says how large a pixel is.
    """
    spacings: dict[str, tuple[float, float]] = {}

    def pairs() -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
        for item, mask in masks:
            # Read beside its pair, so that only headers of images that are compared are opened.
            if (spacing := pixel_spacing(item, images.slice_axis)) is not None:
                spacings[item["id"]] = spacing
            yield item["id"], mask, gold_of(item, images)

    groups = {item["id"]: item["group"] for item in images.items}
    return evaluate_masks(pairs(), class_names=list(images.classes.names), groups=groups, spacings=spacings)


def gold_of(item: Item, images: ImageSet) -> NDArray[np.bool_]:
    """Return the gold mask (K, H, W) of an item; a dropped label counts, as it is only compared with."""
    path = item.get("label") or item["dropped_label"]
    return read_label(item, path, images.classes, images.slice_axis) > 0
