"""The page of a prediction with uncertainty, from the files that it wrote."""

from __future__ import annotations

import logging
from typing import Any

from labelmine.data import LabelStore, read_map
from labelmine.evaluation import Case
from labelmine.handlers.uncertainty_saver import WRONG
from labelmine.prediction import Pictures, StudentTask
from labelmine.quality import PixelCalibration
from labelmine.report import Doubt, UncertaintyReport, write_uncertainty_page
from labelmine.run.files import REPORT_FOLDER, UNCERTAINTY_FOLDER

logger = logging.getLogger(__name__)

SHOWN = 12
#: Knobs that tell of a patient's study, which is nobody's business who gets the page.
OF_STUDY = frozenset({"study", "series"})


def write_doubts(task: StudentTask[Any], store: LabelStore, calibration: PixelCalibration) -> None:
    """Write ``report/index.html``: the masks that are least sure, and where.

    Args:
        task: Folder and images.
        store: Masks, whose records say what Dice each may expect.
        calibration: Of the probabilities.
    """
    path = task.folder.path
    items = {item["id"]: item for item in task.images.items}
    dice = {str(r["id"]): float(r["expected_dice"]) for r in store.records() if r["id"] in items}
    pictures, target = Pictures(task.images), path / REPORT_FOLDER / "index.html"
    # Another form of masks may have replaced these; then an earlier run wrote the page.
    drawn = sorted((name for name in dice if store.mask_path(items[name]).is_file()), key=lambda n: (dice[n], n))
    if not drawn and target.is_file():
        return
    shown = [
        Doubt(
            case=Case(
                id=name,
                image=pictures.picture(items[name]),
                predictions={"mask": store.read(items[name])[0] > 0},
                caption=f"expected Dice {dice[name]:.2f}",
            ),
            wrong=read_map(path / UNCERTAINTY_FOLDER, items[name], WRONG),
        )
        for name in drawn[:SHOWN]
    ]
    report = UncertaintyReport(
        dataset=task.images.name,
        expected_dice=dice,
        shown=shown,
        calibration=_in_words(calibration),
        calibrated=calibration.error is not None,
        seconds=task.folder.seconds,
        settings={name: value for name, value in task.folder.settings.items() if name not in OF_STUDY},
    )
    page = write_uncertainty_page(report, target)
    logger.info("report: %s/%s", page.parent.name, page.name)


def _in_words(calibration: PixelCalibration) -> str:
    if calibration.error is None or calibration.error_before is None:
        return "Probabilities are the student's own: no gold was there to calibrate them on."
    return (
        f"Probabilities are the mean of eight looks, calibrated on {calibration.n_groups} images (or groups) of gold "
        f"that the student was not trained on: calibration error {calibration.error:.4f}, "
        f"{calibration.error_before:.4f} before, out of fold. On images of another kind nothing vouches for them."
    )
