"""Before the gate: the teacher is fitted to the user's gold, and kept so if that helps on gold it was not fitted to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.labelers import PromptedLabeler
from labelmine.labelers.fitted import DECODER
from labelmine.labelers.prediction import predict
from labelmine.networks import StudentNetwork
from labelmine.progress import progress
from labelmine.quality import class_dice
from labelmine.run.files import FITTED_FILE, FITTED_FOLDER, FOLD
from labelmine.teachers.fitted import FLIPS, load_fitted, save_decoder
from labelmine.workflows.mine.decoder_fit import MAX_BYTES, FitImage, fit_decoder, read_fit_images
from labelmine.workflows.mine.held_out import HeldOut

logger = logging.getLogger(__name__)

Batch = Mapping[str, Any]
MIN_GAIN = 0.005  # Dice on gold that it was not fitted to, by which a fitted teacher must be better


class TeacherFit:
    """Fit a teacher's decoder to the training gold; examine it on folds and on gold that validates.

    For each fold a decoder learns from the others, with the prompts of the students that never saw them, and is
    examined on the fold. The one that labels in the end learns from all training gold, and is examined on gold that
    validates. It labels if it was better by ``MIN_GAIN`` in the mean over all images.

    Args:
        labeler: Whose teacher is fitted.
        folds: Of the training gold; without any, prompts come from its masks alone.
        train: All training gold, where there are no folds.
        validation: The first student, and gold that validates.
        steps: Of each fit.
        folder: Where ``fitted.json`` and decoders go.
        seed: Of the draws.
        exclusive: Whether classes exclude each other.
        device: Where to work.
    """

    def __init__(
        self,
        labeler: PromptedLabeler,
        folds: Sequence[HeldOut],
        train: Iterable[Batch],
        validation: HeldOut,
        steps: int,
        folder: str | Path,
        seed: int = 0,
        exclusive: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Keep what is needed; nothing is asked yet."""
        self.labeler = labeler
        self.folds = folds
        self.train = train
        self.validation = validation
        self.steps = steps
        self.folder = Path(folder).expanduser() / FITTED_FOLDER
        self.seed = seed
        self.exclusive = exclusive
        self.device = torch.device(device)

    def __call__(self) -> None:
        """Fit, examine and write; what an interrupted run has fitted stands."""
        verdict = self.folder / FITTED_FILE
        if verdict.is_file():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = self._read()
        everything = [image for part in parts for image in part]
        dice: dict[str, list[float]] = {"original": [], "fitted": []}
        for n, fold in enumerate(self.folds):
            rest = [image for m, part in enumerate(parts) if m != n for image in part]
            self._examine(self._fitted(FOLD.format(n), rest), fold, dice)
        self._examine(self._fitted(DECODER, everything), self.validation, dice)
        original, fitted = (sum(values) / max(len(values), 1) for values in dice.values())
        kept = fitted - original >= MIN_GAIN
        about = {"kept": kept, "dice": {"original": original, "fitted": fitted}, "n": len(dice["fitted"])}
        about |= {"n_gold": len(everything), "steps": self.steps}
        write_whole(verdict, json.dumps(about, indent=1).encode())
        logger.info(
            "fit: Dice of the teacher's labels on gold it was not fitted to (n = %d): %.3f as it came, %.3f fitted; %s",
            about["n"], original, fitted, "the fitted one labels" if kept else "no gain, so it labels as it came",
        )  # fmt: skip

    def _read(self) -> list[list[FitImage]]:
        """Return the images of each fold, or of all training gold, as they are kept for fitting."""
        sources: Sequence[tuple[StudentNetwork | None, Iterable[Batch]]]
        sources = [(fold.student, fold.batches) for fold in self.folds] or [(None, self.train)]
        flips, room = len(FLIPS), MAX_BYTES
        parts: list[list[FitImage]] = []
        for student, batches in sources:
            part: list[FitImage] = []
            for batch in progress(batches, "fit: gold", "batch"):
                images = read_fit_images(self.labeler.teacher, [self._moved(batch)], student, self.exclusive, flips)
                room -= sum(e.numel() * e.element_size() for image in images for e in image.embeddings)
                part += images
                if room < MAX_BYTES / 2:
                    flips = 1
                if room < 0:
                    logger.info("fit: takes %d images of this part of the gold, as memory holds no more", len(part))
                    break
            parts.append(part)
        return parts

    def _fitted(self, name: str, images: Sequence[FitImage]) -> PromptedLabeler:
        """Return the labeler with a decoder of that name, which is fitted where it is not there yet."""
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            teacher = fit_decoder(
                self.labeler.teacher, images, self.labeler.prompts, self.steps, self.seed, self.device, f"fit {name}"
            )
            save_decoder(teacher, path)
        return self.labeler.with_teacher(load_fitted(self.labeler.teacher, path))

    def _examine(self, fitted: PromptedLabeler, held_out: HeldOut, dice: dict[str, list[float]]) -> None:
        for batch in map(self._moved, held_out.batches):
            probability = predict(held_out.student, batch, self.exclusive)
            for name, labeler in (("original", self.labeler), ("fitted", fitted)):
                dice[name] += class_dice(labeler.label(batch, probability).mask, batch["label"]).mean(1).tolist()

    def _moved(self, batch: Batch) -> dict[str, Any]:
        return {key: value.to(self.device) if isinstance(value, Tensor) else value for key, value in batch.items()}
