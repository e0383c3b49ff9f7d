"""The students of a run: which is the better one on gold validation, and how good are they on gold test."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from labelmine.atomic import write_whole
from labelmine.data import ImageSet
from labelmine.evaluation import write_table
from labelmine.prediction.comparison import evaluate
from labelmine.prediction.pixels import calibrate_pixels
from labelmine.prediction.predictor import Predictor
from labelmine.quality import PixelCalibration
from labelmine.run.files import BEST_FILE, MODEL_FILE

logger = logging.getLogger(__name__)

SURE = 0.9  # probability that an earlier student is better, from which it is kept


@dataclass(frozen=True)
class Examined:
    """What an examination showed.

    Attributes:
        predictors: The students by stage.
        validation: Mean Dice of each on gold validation.
        tables: Of each, a row per test image, see ``evaluate_masks``.
        kept: The stage of the student that is kept.
        n_validation: Validation images.
        pixels: How the kept student's pixels are calibrated; None where validation gold is too little.
    """

    predictors: Mapping[str, Predictor]
    validation: Mapping[str, float]
    tables: Mapping[str, pd.DataFrame]
    kept: str
    n_validation: int
    pixels: PixelCalibration | None = None

    @property
    def reason(self) -> str:
        """Why the kept student was kept."""
        means = ", ".join(f"{n} {v:.3f}" for n, v in self.validation.items())
        best = max(self.validation.values())
        doubt = "; the difference may be chance, and the one that learnt from more is kept"
        return (
            f"Dice on gold validation, n = {self.n_validation}: {means}"
            f"{doubt if self.validation[self.kept] < best else ''}"
        )


def examine(
    folder: Path, stages: Sequence[str], images: ImageSet, device: torch.device | str = "cpu", prefer_last: bool = False
) -> Examined:
    """Choose a student on gold validation, and examine all on gold test.

    The better one is kept. With ``prefer_last`` it is the last, which learnt from most, unless validation gold shows an
    earlier one to be better by more than chance: few images often rank two students wrongly.

    Writes ``model.safetensors`` (the kept student), ``pixel_calibration.json`` and ``test_<stage>.csv``.

    Args:
        folder: The run's folder.
        stages: Stages that may have trained a student, in their order.
        images: The image set.
        device: Where students predict.
        prefer_last: Whether the last is kept in doubt, see ``choose``.
    """
    files = {stage: folder / stage / BEST_FILE for stage in stages if (folder / stage / BEST_FILE).is_file()}
    predictors = {stage: Predictor.load(file, device) for stage, file in files.items()}
    dice = {
        stage: evaluate(predictor, images.val, images, f"validate {stage}")["dice"].to_numpy()
        for stage, predictor in predictors.items()
    }
    validation = {stage: float(values.mean()) for stage, values in dice.items()}
    kept = choose(dice) if prefer_last else max(validation, key=lambda stage: validation[stage])
    write_whole(folder / MODEL_FILE, files[kept].read_bytes())
    chosen = predictors[kept]
    pixels = calibrate_pixels(folder, chosen.student, chosen.image_size, images.val, images)
    tables = {stage: evaluate(one, images.test, images, f"test {stage}") for stage, one in predictors.items()}
    for stage, table in tables.items():
        write_table(folder / f"test_{stage}.csv", table)
    examined = Examined(predictors, validation, tables, kept, len(images.val), pixels)
    logger.info("kept the %s student (%s)", kept, examined.reason)
    return examined


def choose(dice: Mapping[str, NDArray[np.float64]]) -> str:
    """Return the stage of the student to keep: the last, unless an earlier one is surely better.

    Args:
        dice: By stage, in their order: (N,) Dice of the same validation images.

    Example:
        >>> even = np.array([0.8, 0.7, 0.9, 0.6])
        >>> choose({"supervised": even, "mined": even + [0.1, -0.2, 0.1, -0.1]})
        'mined'
        >>> choose({"supervised": even, "mined": even - [0.1, 0.2, 0.1, 0.1]})
        'supervised'
    """
    *earlier, kept = dice
    for stage in sorted(earlier, key=lambda stage: dice[stage].mean(), reverse=True):
        if _surely_better(dice[stage] - dice[kept]):
            return stage
    return kept


def _surely_better(gain: NDArray[np.float64]) -> bool:
    """Tell whether gains (N,) are above 0 in the mean by more than chance; one image never tells."""
    if len(gain) < 2 or gain.mean() <= 0:
        return False
    return bool(np.ptp(gain) == 0 or ttest_1samp(gain, 0, alternative="greater").pvalue < 1 - SURE)
