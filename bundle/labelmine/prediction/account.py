"""What every run that trained students says at its end: the figures for machines, the page's contents for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from labelmine.evaluation import summarise
from labelmine.prediction.pictures import Pictures
from labelmine.prediction.selection import Examined
from labelmine.report import ReportContext
from labelmine.run.files import HISTORY_FILE, QUARANTINE_FILE
from labelmine.training import TrainingTask, read_history


def figures_of(task: TrainingTask[Any], examined: Examined) -> dict[str, Any]:
    """Return the part of ``metrics.json`` that all runs have which train students."""
    path, images, seed = task.folder.path, task.images, task.knobs.seed
    return {
        "dataset": images.name,
        "seed": seed,
        **images.summary,
        **{name: summarise(table, seed) for name, table in examined.tables.items()},
        "validation_dice": dict(examined.validation),
        "kept": examined.kept,
        "pixel_calibration": examined.pixels and examined.pixels.summary(),
        "seconds": task.folder.seconds,
        "seconds_per_epoch": {name: _seconds_per_epoch(path / name / HISTORY_FILE) for name in examined.tables},
    }


def context_of(task: TrainingTask[Any], examined: Examined, title: str, **more: Any) -> ReportContext:
    """Return what the page of such a run shows; ``more`` are further fields of ``ReportContext``."""
    path, images = task.folder.path, task.images
    workflow = task.knobs.workflow
    return ReportContext(
        dataset=images.name,
        seed=task.knobs.seed,
        title=title,
        tables=examined.tables,
        kept=examined.kept,
        kept_reason=examined.reason,
        histories={name: read_history(path / name / HISTORY_FILE) for name in examined.predictors},
        counts=images.summary,
        findings=images.findings,
        quarantined=_quarantined(path / QUARANTINE_FILE),
        test_cases=Pictures(images).of_test(examined),
        seconds=task.folder.seconds,
        command=f"python -m monai.bundle run --config_file configs/{workflow}.yaml",
        config=task.folder.settings,
        **more,
    )


def _seconds_per_epoch(path: Path) -> float:
    """Median of the epochs' wall-clock seconds: the first, which fills caches, and a busy machine's hardly count."""
    return round(float(pd.read_csv(path)["seconds"].median()), 2)


def _quarantined(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    return list(zip(table["path"].astype(str), table["reason"].astype(str), strict=True))
