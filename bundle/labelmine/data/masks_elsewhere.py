"""Masks of an image set that lie in another folder: the set's classes, read by the levels of that folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labelmine.data.classes import ClassMap
from labelmine.data.findings import Findings
from labelmine.data.items import Item
from labelmine.data.level_rules import choose_classes
from labelmine.data.levels import MaskLevels, measure_levels
from labelmine.data.loading import read_mask_of
from labelmine.errors import DataError

logger = logging.getLogger(__name__)

#: Masks looked at to tell the levels of a folder, spread evenly over it.
LOOKED_AT = 200


def classes_elsewhere(classes: ClassMap, masks: Sequence[tuple[Item, Path]], slice_axis: int = -1) -> ClassMap:
    """Return the classes with the levels of other masks than the gold: of another program, another run.

    Args:
        classes: Classes of the image set.
        masks: Items and their mask files; what cannot be read here is noticed where it is used.
        slice_axis: Axis along which NIfTI volumes are cut.
    """
    findings = Findings()
    measured: list[MaskLevels] = []
    for item, path in masks[:: max(1, len(masks) // LOOKED_AT)]:
        try:
            stored = read_mask_of(item, path, classes, slice_axis)
        except DataError:
            continue
        measured.append(measure_levels(stored, str(path), keep_color=classes.is_color))
    own = choose_classes(replace(classes, levels=None), measured, findings)
    for row in findings.rows():
        logger.info("%s: %s", masks[0][1].parent.name, row)
    return own
