"""Weak labels from elsewhere (S2): masks that some model or person left in a folder train a student as they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelmine.data import ClassMap, Item
from labelmine.errors import ConfigError, DataError
from labelmine.labelers.base import Labeler, PseudoLabel
from labelmine.labelers.prediction import predict
from labelmine.labelers.recorded_masks import RecordedMasks, at_size, read_scores
from labelmine.labelers.refusal import Reason, Refusal
from labelmine.networks import StudentNetwork
from labelmine.quality import agreement
from labelmine.ranges import check_number
from labelmine.transforms import StudentView

logger = logging.getLogger(__name__)


def recorded_folder(masks_dir: str | Path | None) -> Path:
    """Return the folder of the masks, for a config: so that it is missed before images are read and a run begins.

    Raises:
        ConfigError: It was not given.
        DataError: It is none.
    """
    if masks_dir is None:
        raise ConfigError("masks_dir: expected the folder of the recorded masks; give it by --masks_dir DIR")
    folder = Path(masks_dir).expanduser()
    if not folder.is_dir():
        raise DataError(f"masks_dir: {folder} is no folder; give the folder of the masks")
    return folder


class RecordedLabeler(Labeler):
    """Label images with masks that are already there: a folder of files named like the images.

    An empty mask is no label (S2's code kept those). What is missing, damaged or refused is said in ``refusal``, and
    training goes on with the rest. Another run's ``labels/masks`` may be ``masks_dir``, its ``labels/manifest.csv``
    ``scores``.

    A mask must have its image's size, or be a scaled copy of its shape, which nearest neighbour takes to that size. A
    label's score is the recorded one; without ``scores`` it is the Dice of label and student, and all labels
    are used and count fully, as in S2.

    Args:
        masks_dir: Folder of masks (PNG, TIFF, BMP, JPEG, NIfTI) whose paths without suffix are the images' ids; slices
            of a NIfTI image may lie in one volume named like the image.
        classes: How mask values become classes.
        items: Images that may be asked for; a folder that fits none of them is noticed at once.
        scores: CSV with the columns ``id`` and ``score``, the expected Dice in [0, 1] of each mask.
        exclusive: Whether the student's classes exclude each other (softmax).
        min_score: Masks of a lower recorded score are not used; without ``scores`` nothing is refused for its score.
        weighted: Whether a label counts by its recorded score; otherwise all that are used count fully.
        one_class_limit: Masks in which one class, or the background, fills more than this fraction of the pixels are
            not used. S2 has 0.97, which refuses real small lesions too; None: not looked at.
        slice_axis: Axis along which NIfTI volumes are cut.

    Raises:
        ConfigError: No ``masks_dir``, or a knob out of its range.
        DataError: A folder without masks, or with masks of other images only; scores that cannot be used.

    Example:
        >>> labeler = RecordedLabeler("medsam_masks", one_class_limit=0.97)  # doctest: +SKIP
        >>> [str(refusal or "") for refusal in labeler(batch, student).refusal]  # doctest: +SKIP
        ['', 'no recorded mask', 'the recorded mask is empty']
    """

    name = "recorded"

    def __init__(
        self,
        masks_dir: str | Path | None,
        classes: ClassMap | None = None,
        items: Sequence[Item] = (),
        scores: str | Path | None = None,
        exclusive: bool = False,
        min_score: float = 0.5,
        weighted: bool = True,
        one_class_limit: float | None = None,
        slice_axis: int = -1,
    ) -> None:
        """Check the knobs and look the files up."""
        check_number("min_score", min_score, 0, 1)
        if one_class_limit is not None:
            check_number("one_class_limit", one_class_limit, 0, 1, open_low=True, hint="or null")
        self.classes = classes or ClassMap()
        self.masks = RecordedMasks(recorded_folder(masks_dir), self.classes, items, slice_axis)
        self.scores = None if scores is None else read_scores(scores)
        self.exclusive = exclusive
        self.min_score = min_score
        self.weighted = weighted
        self.one_class_limit = one_class_limit

    def knows(self, image_id: str) -> bool:
        """Whether there is a mask for an image."""
        return image_id in self.masks

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Any], student: StudentNetwork) -> PseudoLabel:
        """Label a batch of plain views; see ``Labeler``.

        Args:
            batch: ``image`` (B, 3, S, S), ``id`` and ``original_size`` (B, 2), as ``StudentView`` gives them.
            student: Looked at only for the score, where no scores were recorded.

        Raises:
            ConfigError: A batch without these keys.
            DataError: A mask whose shape is not its image's, to which it then hardly belongs.
        """
        missing = [key for key in ("image", "id", "original_size") if key not in batch]
        if missing:
            raise ConfigError(f"batch: expected views made by StudentView. Missing: {', '.join(missing)}")
        images: Tensor = batch["image"]
        view = StudentView(int(images.shape[-1]))
        sizes = [(int(size[0]), int(size[1])) for size in batch["original_size"]]
        masks, faults = zip(*map(self._read, batch["id"], sizes), strict=True)
        mask = torch.stack([_in_view(found, view) for found in masks]).to(images)
        own = predict(student, batch, self.exclusive) if self.scores is None else None
        score = self._recorded(batch["id"]).to(mask.device) if own is None else agreement(mask, own)
        refusal = [
            fault or self._doubt(image_id, value)
            for fault, image_id, value in zip(faults, batch["id"], score.tolist(), strict=True)
        ]
        accepted = torch.tensor([why is None for why in refusal], device=mask.device)
        trust = score if self.scores is not None and self.weighted else torch.ones_like(score)
        inside = batch["weight"] > 0 if "weight" in batch else torch.ones_like(images[:, :1])
        return PseudoLabel(
            mask=mask,
            weight=(trust * accepted).reshape(-1, 1, 1, 1) * inside,
            score=score,
            accepted=accepted,
            refusal=refusal,
            source={**self.source, "teacher": self.masks.folder.name},
            prompts=[[] for _ in refusal],
            signals={} if self.scores is None else {"recorded_score": score},
            student=own,
        )

    def _read(self, image_id: str, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Refusal | None]:
        """Return the mask (K, H, W) of an image of ``size``, and why it is no label."""
        nothing = np.zeros((len(self.classes), *size), dtype=np.uint8)
        try:
            mask = self.masks.read(image_id)
        except DataError as error:
            logger.warning("recorded mask of %s set aside: %s", image_id, error)
            return nothing, Refusal(Reason.DAMAGED_MASK, str(error))
        if mask is None:
            return nothing, Refusal(Reason.NO_MASK)
        mask = at_size(mask, size, image_id)
        return mask, self._fault(mask)

    def _fault(self, mask: NDArray[np.uint8]) -> Refusal | None:
        if not mask.any():
            return Refusal(Reason.EMPTY_MASK)
        largest = max(1 - mask.any(0).mean(), mask.mean((1, 2)).max())
        if self.one_class_limit is not None and largest > self.one_class_limit:
            return Refusal(Reason.ONE_CLASS, f"one class fills more than {self.one_class_limit:g} of the recorded mask")
        return None

    def _recorded(self, ids: Sequence[str]) -> Tensor:
        """Return (B,): the recorded score of images, 0 where there is none."""
        return torch.tensor([(self.scores or {}).get(i, 0.0) for i in ids], dtype=torch.float32)

    def _doubt(self, image_id: str, score: float) -> Refusal | None:
        if self.scores is None:
            return None
        if image_id not in self.scores:
            return Refusal(Reason.NO_SCORE)
        return Refusal.low_score(score, self.min_score) if score < self.min_score else None


def _in_view(mask: NDArray[np.uint8], view: StudentView) -> Tensor:
    """Return a mask (K, H, W) as the square (K, S, S) that the student sees."""
    label = torch.from_numpy(mask).float()
    seen: Tensor = view({"image": torch.zeros(3, *label.shape[1:]), "label": label})["label"]
    return seen
