"""In which forms a run's masks leave it: PNG, and of DICOM series what the knobs ask for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from labelmine.data import Item, LabelStore
from labelmine.data.headers import file_kind
from labelmine.exchange.dicom_seg import INSTALL, Algorithm, SegmentationForm, has_highdicom, require_highdicom
from labelmine.exchange.identity import Identity, Pseudonym
from labelmine.exchange.segment_terms import segment_terms
from labelmine.exchange.series_masks import SeriesForm, SeriesMasks
from labelmine.run.files import DICOM_SEG_FOLDER, PSEUDONYM_KEY_FILE
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
    if knobs.masks_format == "png" or not any(file_kind(Path(item["image"])) == "dicom" for item in items):
        return {}
    if knobs.masks_format is None and not has_highdicom():
        logger.info("masks of DICOM images are written as PNG alone; for DICOM SEG beside them: %s", INSTALL)
        return {}
    forms = list(_forms(store, folder, knobs, algorithm))
    counts = SeriesMasks(store, forms, alone=knobs.masks_format is not None).write(items)
    for form in forms:
        logger.info("%s: %d files in %s/", form.name, counts.get(form.name, 0), form.folder.name)
    return counts


def _forms(store: LabelStore, folder: Path, knobs: MaskFormKnobs, algorithm: Algorithm) -> Sequence[SeriesForm]:
    names = store.classes.names
    identity = Pseudonym.kept_in(folder / PSEUDONYM_KEY_FILE) if knobs.deidentify else Identity()
    terms = segment_terms(names, knobs.segments)
    return [SegmentationForm(folder / DICOM_SEG_FOLDER, names, terms, algorithm, identity, knobs.fractional)]
