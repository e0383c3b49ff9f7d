"""The students of a run: which is the better one on gold validation, and how good are they on gold test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from labelmine.atomic import write_whole
from labelmine.data import ImageSet
from labelmine.evaluation import write_table
from labelmine.prediction.comparison import evaluate
from labelmine.prediction.predictor import Predictor
from labelmine.run.files import BEST_FILE, MODEL_FILE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examined:
    """What an examination showed.

    Attributes:
        predictors: The students by stage.
        validation: Mean Dice of each on gold validation.
        tables: Of each, a row per test image, see ``evaluate_masks``.
        kept: The stage of the better student.
    """

    predictors: Mapping[str, Predictor]
    validation: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame]
    kept: str

    @property
    def reason(self) -> str:
        """Why the kept student was kept."""
        return "Dice on gold validation: " + ", ".join(f"{n} {v:.3f}" for n, v in self.validation.items())


def examine(folder: Path, stages: Sequence[str], images: ImageSet, device: torch.device | str = "cpu") -> Examined:
    """Choose the better student on gold validation, and examine all on gold test.

    Writes ``model.safetensors`` (the kept student) and ``test_<stage>.csv``.

    Args:
        folder: The run's folder.
        stages: Stages that may have trained a student; of two as good the first is kept.
        images: The image set.
        device: Where students predict.
    """
    files = {stage: folder / stage / BEST_FILE for stage in stages if (folder / stage / BEST_FILE).is_file()}
    predictors = {stage: Predictor.load(file, device) for stage, file in files.items()}
    validation = {
        stage: float(evaluate(predictor, images.val, images, f"validate {stage}")["dice"].mean())
        for stage, predictor in predictors.items()
    }
    kept = max(validation, key=lambda stage: validation[stage])
    write_whole(folder / MODEL_FILE, files[kept].read_bytes())
    tables = {stage: evaluate(one, images.test, images, f"test {stage}") for stage, one in predictors.items()}
    for stage, table in tables.items():
        write_table(folder / f"test_{stage}.csv", table)
    examined = Examined(predictors, validation, tables, kept)
    logger.info("kept the %s student (%s)", kept, examined.reason)
    return examined
