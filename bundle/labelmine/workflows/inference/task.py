"""What a prediction works on: a folder of images, or a study that a PACS holds, and the student."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from labelmine.errors import ConfigError
from labelmine.exchange.dicom_seg import INSTALL
from labelmine.pacs import Pacs, fetch_study, store_files
from labelmine.prediction import StudentTask
from labelmine.prediction.task import StudentTaskKnobs
from labelmine.run.files import DICOM_SEG_FOLDER, FETCHED_FOLDER, RT_STRUCTURES_FOLDER
from labelmine.run.knobs import MaskFormKnobs, RefinementKnobs, RuntimeKnobs

#: PS3.5, section 9.1.
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]


class InferenceKnobs(StudentTaskKnobs, RefinementKnobs, MaskFormKnobs, RuntimeKnobs):
    """The knobs of ``configs/inference.yaml``."""

    workflow: ClassVar[str] = "inference"
    uses_gold: ClassVar[bool] = False

    uncertainty: bool
    dicomweb: str | None
    study: Uid | None
    series: Uid | None
    store: bool


class InferenceTask(StudentTask[InferenceKnobs]):
    """Images, those of a PACS fetched when they are first asked for, and the student of an earlier run.

    Args:
        knobs: Of the workflow.
        root: As of ``StudentTask``.

    Raises:
        ConfigError: Knobs of a PACS that do not go together, or credentials that are not complete.
    """

    def __init__(self, knobs: InferenceKnobs, root: str | Path | None = None) -> None:
        """Check what the knobs say of a PACS; nothing is sent yet."""
        super().__init__(knobs, root)
        _check(knobs)
        self.pacs = None if knobs.dicomweb is None else Pacs(knobs.dicomweb)

    @cached_property
    def dataset_dir(self) -> str | None:
        """Where the images are: those of a study are fetched as a stage of the run."""
        pacs, study = self.pacs, self.knobs.study
        if pacs is None or study is None:
            return self.knobs.dataset_dir
        folder = self.folder.path / FETCHED_FOLDER
        self.folder.stage("fetch", lambda: fetch_study(pacs, study, folder, self.knobs.series))
        return str(folder)

    def store_results(self) -> dict[str, dict[str, int]]:
        """Store what the run wrote in DICOM as a stage, where that is asked for; return figures of it.

        Raises:
            ConfigError: There are none.
        """
        pacs = self.pacs
        if pacs is None or not self.knobs.store:
            return {}
        folders = (self.folder.path / name for name in (DICOM_SEG_FOLDER, RT_STRUCTURES_FOLDER))
        files = [path for folder in folders for path in sorted(folder.glob("*.dcm"))]
        if not files:
            raise ConfigError(
                f"store: expected DICOM files in {DICOM_SEG_FOLDER}/ or {RT_STRUCTURES_FOLDER}/, found none: images "
                f"are no DICOM, or had to be left out, or highdicom is missing ({INSTALL})"
            )
        found = self.folder.stage("store", lambda: store_files(pacs, files))
        return {"pacs": {"stored": found.stored, "present": found.present}}


def _check(knobs: InferenceKnobs) -> None:
    if knobs.dicomweb is None:
        given = [name for name in ("study", "series", "store") if getattr(knobs, name)]
        if given:
            raise ConfigError(f"{given[0]}: expected --dicomweb ADDRESS of the PACS beside it, got none")
    elif knobs.study is None and not knobs.store:
        raise ConfigError(
            "dicomweb: expected --study UID, to fetch from, or --store true, to store to it. Got: neither"
        )
    if knobs.study is not None and knobs.dataset_dir is not None:
        raise ConfigError("study: expected images from the PACS or from dataset_dir, got both; leave one out")
    if knobs.series is not None and knobs.study is None:
        raise ConfigError("series: expected --study UID beside it, got none")
    if knobs.store and knobs.masks_format in ("png", "nifti") and not knobs.rt_structures:
        raise ConfigError(
            f"store: expected results in DICOM: --masks_format dicom_seg, or none. Got: {knobs.masks_format!r}"
        )
    if knobs.store and knobs.deidentify:
        raise ConfigError(
            "store: expected results of the patient that the PACS knows. Got: --deidentify true beside it"
        )
