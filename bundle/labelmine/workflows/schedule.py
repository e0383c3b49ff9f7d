"""The two schedules of ``configs/mine.yaml``: labels made once, before the second training, or at each visit in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from labelmine.data import ImageSet, Item, LabelStore, read_label
from labelmine.errors import ConfigError
from labelmine.handlers import EmaStudent, LabelQuality, PseudoLabeling, Schedule
from labelmine.labelers import Labeler
from labelmine.networks import IndirectStudent, Student, TestTimeAverage
from labelmine.transforms import StudentView
from labelmine.weights import sha256_of
from labelmine.workflows.mining import BEST_FILE, best_student

LABEL_HISTORY = "label_history.csv"


class SavedStudent(IndirectStudent):
    """The best student of a stage, read when it is first asked: a config names it before the stage has run.

    Args:
        folder: Folder of the stage.
        device: Where it predicts.
        tta: Whether it answers with the mean over an image's flips and turns, see ``TestTimeAverage``.
    """

    def __init__(self, folder: str, device: torch.device | str = "cpu", tta: bool = False) -> None:
        """Read nothing yet."""
        self.folder = folder
        self.device = device
        self.tta = tta
        self._student: Student | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits of (B, 3, S, S) images in [0, 1]."""
        logits: Tensor = (TestTimeAverage(self.student) if self.tta else self.student)(images)
        return logits

    @property
    def student(self) -> Student:
        """The student itself, for labelers that look into it."""
        if self._student is None:
            self._student = best_student(self.folder, self.device)
        return self._student

    def sha256(self) -> str:
        """Hash of the student's file, for the manifest."""
        return sha256_of(Path(self.folder) / BEST_FILE)


def mined_student(
    start_from: Literal["new", "supervised"], new: Callable[[], Student], folder: str, device: torch.device | str
) -> Student:
    """Return the network of the second training.

    Args:
        start_from: ``new``: as untrained as the supervised one was; ``supervised``: that student, trained further.
        new: Makes an untrained student.
        folder: Folder of the supervised stage.
        device: Where to train.

    Raises:
        ConfigError: When ``start_from`` is none of the two.
    """
    if start_from not in ("new", "supervised"):
        raise ConfigError(f"start_from: expected 'new' or 'supervised'. Got: '{start_from}'")
    return new() if start_from == "new" else best_student(folder, device)


def mined_items(images: ImageSet, store: LabelStore, schedule: str) -> list[Item]:
    """Return gold, and the unlabelled images that have an accepted label (``one_time``) or may get one."""
    one_time = schedule == "one_time"
    return images.train + (store.accepted_items(images.unlabeled) if one_time else images.unlabeled)


def mined_handlers(
    labeling: PseudoLabeling,
    network: Student,
    labeler: Labeler,
    images: ImageSet,
    image_size: int,
    folder: str,
    schedule: Schedule,
    ema_decay: float = 0.0,
    pseudo_weight: float = 1.0,
) -> list[Any]:
    """Return the handlers that put pseudo labels into the second training.

    Args:
        labeling: Labels in files; all that ``one_time`` needs.
        network: The student in training, who prompts in ``continuous``.
        labeler: Who labels.
        images: The image set; where gold was set aside, labels are compared with it.
        image_size: Side of the view in pixels.
        folder: Where ``label_history.csv`` goes.
        schedule: When images are labelled.
        ema_decay: Decay of the moving average that prompts in the student's place; 0: the student itself.
        pseudo_weight: See ``PseudoLabeling``.
    """
    if not schedule.continuous:
        return [labeling]
    quality = LabelQuality(Path(folder) / LABEL_HISTORY, hidden_gold(images, image_size))
    average = [EmaStudent(network, ema_decay)] if ema_decay else []
    relabeling = PseudoLabeling(
        labeler,
        average[0].ema_model if average else network,
        schedule=schedule,
        pseudo_weight=pseudo_weight,
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
