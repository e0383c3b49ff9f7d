"""Labels made at each visit during the second training (``--schedule continuous``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labelmine.data import ImageSet, read_label
from labelmine.handlers import EmaStudent, LabelQuality, PseudoLabeling
from labelmine.labelers import Labeler
from labelmine.networks import Student
from labelmine.run.files import LABEL_HISTORY_FILE
from labelmine.training import TrainingTask
from labelmine.transforms import StudentView
from labelmine.workflows.mine.knobs import MineKnobs


def relabeling_handlers(task: TrainingTask[MineKnobs], labeler: Labeler, network: Student, folder: Path) -> list[Any]:
    """Return the handlers that put pseudo labels into the second training, at each visit of an image.

    Args:
        task: Folder and images; where gold was set aside, labels are compared with it.
        labeler: Who labels.
        network: The student in training, who prompts, or whose moving average does.
        folder: Where ``label_history.csv`` goes.
    """
    knobs = task.knobs
    quality = LabelQuality(folder / LABEL_HISTORY_FILE, hidden_gold(task.images, task.view_size))
    average = [EmaStudent(network, knobs.ema_decay)] if knobs.ema_decay else []
    relabeling = PseudoLabeling(
        labeler,
        average[0].ema_model if average else network,
        schedule=knobs.labelling,
        pseudo_weight=knobs.pseudo_weight,
        observers=[quality.observe],
    )
    return [relabeling, *average, quality]


def hidden_gold(images: ImageSet, image_size: int) -> Callable[[str], Tensor | None]:
    """Return a function that gives the view (K, S, S) of a gold mask which was set aside, by the image's id."""
    items = {item["id"]: item for item in images.unlabeled if "dropped_label" in item}
    view = StudentView(image_size)
    known: dict[str, Tensor] = {}

    def gold(image_id: str) -> Tensor | None:
        if image_id in items and image_id not in known:
            item = items[image_id]
            mask = torch.from_numpy(read_label(item, item["dropped_label"], images.classes, images.slice_axis)).float()
            sample = view({"image": torch.zeros(3, *mask.shape[1:]), "label": mask})
            known[image_id] = sample["label"].to(torch.uint8)
        return known.get(image_id)

    return gold
