"""Look at an image set as ``mine`` would, and say what was understood, before anything is trained."""

from __future__ import annotations

import logging
from dataclasses import replace

from labelmine.evaluation import write_metrics
from labelmine.report.doctor import DoctorReport, write_doctor_page
from labelmine.run.files import METRICS_FILE, REPORT_FOLDER
from labelmine.run.folder import RunFolder
from labelmine.teachers import Teacher
from labelmine.workflows.doctor.costs import OF_COSTS, Stopwatch
from labelmine.workflows.doctor.examination import Examination
from labelmine.workflows.doctor.knobs import DoctorKnobs
from labelmine.workflows.doctor.weights_seen import judge_weights

logger = logging.getLogger(__name__)


class Doctor:
    """Writes ``report/index.html``, ``metrics.json`` and ``quarantine.csv``; logs a short text.

    Args:
        knobs: Of the workflow.
    """

    def __init__(self, knobs: DoctorKnobs) -> None:
        """Open the folder, in which an earlier examination is replaced."""
        self.knobs = knobs
        self.folder = RunFolder(knobs.output_dir, knobs.settings, knobs.workflow, anew=True)
        self.examination = Examination(knobs, self.folder.path)
        self._report: DoctorReport | None = None

    def examine(self) -> None:
        """Read the set and write the page.

        Raises:
            ConfigError: ``mine`` would stop for want of a knob; the page says which.
            DataError: ``mine`` would stop at these images; the page says why.
        """
        self.folder.stage("data", self._examine)

    def estimate(self, teacher: Teacher) -> None:
        """Say which weights know these images, and, unless the knob is false, what mining will need here.

        Args:
            teacher: The one that mining would ask.
        """
        self.folder.stage("write", lambda: self._estimate(teacher))

    def _examine(self) -> None:
        examination = self.examination
        examination.run()
        for line in examination.lines:
            logger.info("%s", line)
        self._write(examination.report())
        if examination.problem is not None:
            raise examination.problem

    def _estimate(self, teacher: Teacher) -> None:
        images, knobs, report = self.examination.images, self.knobs, self._report
        if images is None or report is None:
            return
        weights = judge_weights(images.items, teacher)
        lines = [f"teacher {one.name} {one.in_words()}" for one in weights if one.chosen]
        costs = None
        if knobs.estimate:
            watch = Stopwatch(images, knobs.of_mine(*OF_COSTS), knobs.seed, knobs.device)
            costs = watch.costs(teacher, self.folder.path)
            lines.append(costs.in_words())
        for line in lines:
            logger.info("%s", line)
        self._write(replace(report, weights=weights, costs=costs, lines=[*report.lines, *lines]))

    def _write(self, report: DoctorReport) -> None:
        self._report = report
        page = write_doctor_page(report, self.folder.path / REPORT_FOLDER / "index.html")
        costs = report.costs
        figures = {
            "dataset": report.dataset,
            "seed": report.seed,
            "problem": report.problem or None,
            "n_images": report.n_images,
            "n_near_duplicate_pairs": None if report.pairs is None else len(report.pairs),
            "n_set_aside": sum(reason.count for reason in report.reasons if reason.is_loss),
            "findings": [{"kind": row.kind, "sentence": row.sentence, "count": row.count} for row in report.findings],
            "seen_by": {one.name: one.seen for one in report.weights},
            "estimate": None if costs is None else {"seconds": costs.seconds, "disk": costs.written},
            "seconds": self.folder.seconds,
        }
        write_metrics(self.folder.path / METRICS_FILE, figures)
        logger.info("report: %s/%s", page.parent.name, page.name)
