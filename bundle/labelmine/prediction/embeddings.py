"""Which images are alike, to a student: its deepest features, averaged over the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import DataLoader, Dataset
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor

from labelmine.data import ImageSet, Item, LoadItem
from labelmine.networks import Student
from labelmine.prediction.predictor import Predictor
from labelmine.progress import progress
from labelmine.transforms import StudentView


def image_embeddings(
    predictor: Predictor, items: Sequence[Item], images: ImageSet, batch_size: int = 8
) -> NDArray[np.float32]:
    """Return (N, D) float32: the student's deepest features of each image, averaged over all that is no padding."""
    load = LoadItem(images.classes, images.window, images.slice_axis)
    # Without their gold: only pixels are looked at.
    bare = [Item(**{k: v for k, v in item.items() if k != "label"}) for item in items]  # type: ignore[typeddict-item]
    views = Dataset(bare, Compose([load, StudentView(predictor.image_size)]))
    device = next(predictor.student.parameters()).device
    found: list[Tensor] = []
    for batch in progress(DataLoader(views, batch_size=batch_size), "compare images", "batch", leave=False):
        found.append(_embed(predictor.student, batch["image"].to(device), batch["weight"].to(device)).cpu())
    return torch.cat(found).numpy() if found else np.zeros((0, 1), dtype=np.float32)


@torch.no_grad()
def _embed(student: Student, image: Tensor, weight: Tensor) -> Tensor:
    normed = ((image - student.mean) / student.std).contiguous(memory_format=torch.channels_last)
    features = student.network.encoder(normed)[-1]
    share = F.adaptive_avg_pool2d((weight > 0).float(), features.shape[-2:])
    pooled: Tensor = (features * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3)).clamp(min=1e-6)
    return pooled
