"""Write what a run found or learnt in a form of another program."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from labelmine import __version__
from labelmine.errors import ConfigError
from labelmine.prediction import student_folder
from labelmine.run.knobs import Knobs, NotNegative
from labelmine.workflows.export.export_folder import ExportFolder
from labelmine.workflows.export.forms import form_named
from labelmine.workflows.export.run_labels import gather_labels

logger = logging.getLogger(__name__)


class ExportKnobs(Knobs):
    """The knobs of ``configs/export.yaml``."""

    workflow: ClassVar[str] = "export"

    form: str | None
    model_dir: str | None
    output_dir: str
    dataset_dir: str | None
    review_dir: str | None
    reviewer_names: bool
    image_files: Literal["copy", "link"]
    licence: str
    int8: bool
    seed: NotNegative


class Exporting:
    """Write one form of one run into a folder of its own.

    Args:
        knobs: Of the workflow.

    Raises:
        ConfigError: An unknown form, no run where one is needed, or a folder that holds something else.
    """

    def __init__(self, knobs: ExportKnobs) -> None:
        """Check everything that can be checked before work begins."""
        self.knobs = knobs
        self.form = form_named(knobs.form)
        if knobs.model_dir is None and self.form.takes == "labels":
            raise ConfigError(
                f"model_dir: {self.form.name} is a form of labels, so it expects the output folder of a mine.yaml or "
                "label.yaml run. Got: null"
            )
        self.run = student_folder(knobs.model_dir)
        if not self.run.is_dir():
            raise ConfigError(f"model_dir: expected the output folder of a run, found no folder {self.run.name}")
        name = Path(knobs.output_dir).expanduser().absolute().name
        if not re.fullmatch(self.form.folder_name or ".*", name):
            raise ConfigError(f"output_dir: {self.form.name}: {self.form.purpose}. Got a folder named {name!r}")
        self.write = self.form.load()
        self.folder = ExportFolder(knobs.output_dir, self.form.name)

    def export(self) -> None:
        """Write it; ``export.json`` says what went out."""
        content = self.folder.content
        if self.form.takes == "labels":
            review, names = self.knobs.review_dir, self.knobs.reviewer_names
            labels = gather_labels(self.run, self.knobs.dataset_dir, self.folder.draft, review, names)
            figures = self.write(replace(labels, image_files=self.knobs.image_files, seed=self.knobs.seed), content)
        else:
            figures = self.write(self.run, content, self.knobs)
        self.folder.put_in_place({"labelmine": __version__, **figures})
        logger.info("%s: written as %s", self.folder.path.name, self.form.name)
