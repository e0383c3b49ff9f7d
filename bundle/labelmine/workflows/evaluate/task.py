"""What is examined: a student's answers, or mask files, on images with gold."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from labelmine.data import ImageSet, Item
from labelmine.errors import DataError
from labelmine.prediction import StudentTask
from labelmine.prediction.task import StudentTaskKnobs
from labelmine.run.folder import RunFolder
from labelmine.run.knobs import RefinementKnobs, RuntimeKnobs


class EvaluateKnobs(StudentTaskKnobs, RefinementKnobs, RuntimeKnobs):
    """The knobs of ``configs/evaluate.yaml``."""

    workflow: ClassVar[str] = "evaluate"

    masks_dir: str | None
    split_file: str | None
    classes: Any


class EvaluationTask(StudentTask[EvaluateKnobs]):
    """Images with gold, and whose masks are compared with it; of mask files no student is loaded."""

    @cached_property
    def folder(self) -> RunFolder:
        """The run's folder."""
        if self.knobs.masks_dir is None:
            return super().folder
        return RunFolder(self.knobs.output_dir, self.knobs.settings, self.knobs.workflow)

    @cached_property
    def images(self) -> ImageSet:
        """The images: found and checked."""
        names = () if self.knobs.masks_dir is not None else self.predictor.student.class_names
        return self.folder.stage("data", lambda: self.find(names, self.knobs.classes))

    @cached_property
    def items(self) -> list[Item]:
        """The images that are examined.

        Raises:
            DataError: None of them has gold.
        """
        chosen = self._test_ids()
        gold = [item for item in self.images.items if "label" in item]
        items = gold if chosen is None else [item for item in gold if item["id"] in chosen]
        if not items:
            name = self.images.name
            raise DataError(f"{name}: no image with gold to compare with. Put gold into masks/ beside images/.")
        return items

    def _test_ids(self) -> set[str] | None:
        if self.knobs.split_file is None:
            return None
        path = Path(self.knobs.split_file).expanduser()
        if not path.is_file():
            raise DataError(
                f"{path.name}: no such split file. Give the split.json of the run that trained the student."
            )
        return set(json.loads(path.read_text(encoding="utf-8"))["test"])
