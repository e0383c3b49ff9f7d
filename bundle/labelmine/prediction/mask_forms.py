"""In which forms a run's masks leave it: PNG, and of DICOM series what the knobs ask for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from labelmine.data import Item, LabelStore
from labelmine.data.headers import file_kind
from labelmine.exchange.dicom_seg import INSTALL, SegmentationForm, has_highdicom, require_highdicom
from labelmine.exchange.drawn_by import Algorithm
from labelmine.exchange.identity import Identity, Pseudonym
from labelmine.exchange.rt_structure_set import StructureSetForm
from labelmine.exchange.segment_terms import segment_terms
from labelmine.exchange.series_forms import SeriesForm
from labelmine.exchange.series_masks import SeriesMasks
from labelmine.exchange.series_volume import VolumeForm
from labelmine.run.files import DICOM_SEG_FOLDER, NIFTI_FOLDER, PSEUDONYM_KEY_FILE, RT_STRUCTURES_FOLDER
from labelmine.run.knobs import MaskFormKnobs

logger = logging.getLogger(__name__)


def check_forms(knobs: MaskFormKnobs, class_names: Sequence[str]) -> None:
    """Refuse, before anything is predicted, what could not be written.

    Raises:
        ConfigError: Coded terms that cannot be used, or a form whose library is missing.
    """
    segment_terms(class_names, knobs.segments)
    if knobs.masks_format == "dicom_seg":
        require_highdicom()


def write_forms(
    store: LabelStore, items: Sequence[Item], folder: Path, knobs: MaskFormKnobs, algorithm: Algorithm
) -> dict[str, int]:
    """Write the masks of DICOM series in the forms that the knobs ask for, where an earlier run has not.

    Args:
        store: The masks.
        items: All items of the run.
        folder: Folder of the run.
        knobs: The knobs.
        algorithm: Who drew the masks.

    Returns:
        Number of files of each form.
    """
    if not any(file_kind(Path(item["image"])) == "dicom" for item in items):
        return {}
    if knobs.masks_format is None and not has_highdicom():
        logger.info("masks of DICOM images are written as PNG alone; for DICOM SEG beside them: %s", INSTALL)
    forms = list(_forms(store, folder, knobs, algorithm))
    is_alone = knobs.masks_format in ("dicom_seg", "nifti")
    counts = SeriesMasks(store, forms, alone=is_alone).write(items) if forms else {}
    for form in forms:
        logger.info("%s: %d files in %s/", form.name, counts.get(form.name, 0), form.folder.name)
    return counts


def _forms(store: LabelStore, folder: Path, knobs: MaskFormKnobs, algorithm: Algorithm) -> Iterator[SeriesForm]:
    names = store.classes.names
    identity = Pseudonym.kept_in(folder / PSEUDONYM_KEY_FILE) if knobs.deidentify else Identity()
    described = (names, identity, segment_terms(names, knobs.segments), algorithm)
    if knobs.masks_format == "dicom_seg" or (knobs.masks_format is None and has_highdicom()):
        yield SegmentationForm(folder / DICOM_SEG_FOLDER, *described, fractional=knobs.fractional)
    if knobs.masks_format == "nifti":
        yield VolumeForm(folder / NIFTI_FOLDER, names, identity)
    if knobs.rt_structures:
        yield StructureSetForm(folder / RT_STRUCTURES_FOLDER, *described)
