"""The workflow of ``configs/study.yaml``: its methods are the stages."""

from __future__ import annotations

from labelmine.workflows.study.knobs import StudyKnobs
from labelmine.workflows.study.page import StudyPage
from labelmine.workflows.study.study import Study


class StudyWorkflow:
    """Prepare the images, run the cells, write the page.

    Args:
        knobs: Of the workflow.

    Raises:
        ConfigError: Unknown methods or knobs.
    """

    def __init__(self, knobs: StudyKnobs) -> None:
        """Check the knobs before anything runs."""
        self.cell = knobs.cell
        self.study = Study(knobs)
        self.page = StudyPage(self.study, knobs.baseline)

    def prepare(self) -> None:
        """Check the images, write the splits and the numbered cells."""
        self.study.run.stage("data", self.study.prepare)

    def run_cells(self) -> None:
        """Run what is not finished, or the one cell that is asked for."""
        self.study.run.stage("cells", lambda: self.study(self.cell))

    def write_page(self) -> None:
        """Write the page of the finished cells, unless one cell alone was asked for."""
        if self.cell is None:
            self.study.run.stage("page", self.page)
