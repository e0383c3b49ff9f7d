"""How far the probability of a student's pixels can be trusted: learnt on validation gold, kept beside its weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from labelmine.atomic import remove, write_whole
from labelmine.data import ImageSet, Item
from labelmine.errors import ConfigError
from labelmine.networks import RememberedLooks, Student
from labelmine.progress import progress
from labelmine.quality import PixelCalibration, count_logits
from labelmine.run.files import MODEL_FILE, PIXELS_FILE
from labelmine.training import student_loader, view_dataset
from labelmine.transforms import asked_part
from labelmine.weights import sha256_of

logger = logging.getLogger(__name__)

#: Images that are looked at, drawn at random: two numbers per class need no more.
LOOKED_AT = 50


def calibrate_pixels(
    folder: Path, student: Student, image_size: int, items: Sequence[Item], images: ImageSet, batch_size: int = 8
) -> PixelCalibration | None:
    """Calibrate the mean of a student's eight looks on gold, and keep that in ``pixel_calibration.json``.

    Args:
        folder: Holds the student's ``model.safetensors``; the file is written beside it, or removed where gold is too
            little.
        student: It.
        image_size: Side of its view in pixels.
        items: Gold that it was not trained on; up to 50 of them are looked at.
        images: Their image set.
        batch_size: Images per batch.
    """
    drawn = np.random.default_rng(0).permutation(len(items))[:LOOKED_AT]
    chosen = [items[index] for index in sorted(drawn)]
    counts = _counts(student.eval(), image_size, chosen, images, batch_size)
    found = PixelCalibration.fit(counts, [item["group"] for item in chosen], sha256_of(folder / MODEL_FILE))
    if found is None:
        remove(folder / PIXELS_FILE)
    else:
        write_whole(folder / PIXELS_FILE, json.dumps(found.to_json(), indent=2).encode())
    return found


def pixel_calibration_of(model_dir: Path, n_classes: int) -> PixelCalibration:
    """Return the calibration that lies beside a student; one that changes nothing where there is none, which is logged.

    Raises:
        ConfigError: It is another student's, or no calibration.
    """
    path = model_dir / PIXELS_FILE
    if not path.is_file():
        logger.warning(
            "uncertainty: no %s in %s, so probabilities are the student's own, not calibrated on gold; runs of "
            "mine and train write it where four or more images validate",
            PIXELS_FILE,
            model_dir.name,
        )
        return PixelCalibration.identity(n_classes)
    try:
        found = PixelCalibration.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{model_dir.name}/{PIXELS_FILE}: expected what a run of mine or train writes, got {error!r}. Delete the "
            "file: probabilities are then the student's own"
        ) from error
    if found.student_sha256 != sha256_of(model_dir / MODEL_FILE) or len(found.slopes) != n_classes:
        raise ConfigError(
            f"{model_dir.name}/{PIXELS_FILE}: expected the calibration of {MODEL_FILE} beside it, got that of another "
            "student. Give the --model_dir of a run as it was written, or delete the file"
        )
    return found


@torch.no_grad()
def _counts(student: Student, image_size: int, items: Sequence[Item], images: ImageSet, batch_size: int) -> np.ndarray:
    """Count pixels (N, K, 2, L) of views by logit, see ``count_logits``."""
    views = view_dataset(items, images, image_size, cache_num=0)
    looks = RememberedLooks(student, mean=True)
    device = next(student.parameters()).device
    counts = []
    for batch in progress(student_loader(views, batch_size, shuffle=False), "calibrate pixels", "batch", leave=False):
        looks(asked_part(batch, device)["image"])
        mean = looks.mean_and_spread()[0].cpu()
        for probability, gold, weight in zip(mean, batch["label"], batch["weight"], strict=True):
            counts.append(count_logits(probability, gold, weight[0] > 0))
    return np.stack(counts)
