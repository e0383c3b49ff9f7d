"""The first half of reading an image set: what a source holds, before any file of it is opened whole."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from labelmine.data.classes import ClassMap, ClassSpec
from labelmine.data.findings import Finding, Findings
from labelmine.data.integrity import CheckedItems, check_items
from labelmine.data.intensities import Window
from labelmine.data.items import Item
from labelmine.data.nnunet import DATASET_JSON, named_classes
from labelmine.data.set_aside import SetAside
from labelmine.data.sources import find_items
from labelmine.data.writable import require_short, require_writable
from labelmine.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundSet:
    """Images and masks of a source, by names and headers.

    Attributes:
        name: Name of the set, see ``set_name``.
        root: Folder that image names are relative to.
        items: The images, with their masks.
        classes: The ``classes`` knob, or what the source says of it.
        set_aside: What cannot be used and what is not.
        findings: What was assumed: how masks were paired, above all.
        slice_axis: Axis along which volumes are cut.
    """

    name: str
    root: Path
    items: list[Item]
    classes: ClassSpec | ClassMap
    set_aside: list[SetAside]
    findings: tuple[Finding, ...]
    slice_axis: int

    def check(self, quarantine: Path, window: Window | None) -> CheckedItems:
        """Open every file; see ``check_items``, whose findings come after these."""
        checked = check_items(
            self.items,
            quarantine,
            self.classes,
            window=window,
            slice_axis=self.slice_axis,
            set_aside=self.set_aside,
            root=self.root,
        )
        return replace(checked, findings=(*self.findings, *checked.findings))


def find_set(
    source: Path, folder: Path, classes: ClassSpec | ClassMap, slice_axis: int, mask_pattern: str | None = None
) -> FoundSet:
    """Find the images of a source; see ``find_items``.

    Where ``classes`` is None, a ``dataset.json`` of nnU-Net names them.

    Args:
        source: What ``find_items`` takes.
        folder: Folder of the run, which can be written to, or the search does not begin.
        classes: The knob.
        slice_axis: Axis along which volumes are cut.
        mask_pattern: Where the mask of an image lies, see ``MaskPattern``; None: names say it.

    Raises:
        DataError: The folder of the run is that of the images.
    """
    require_writable(folder)
    if source.is_dir() and source.resolve() == folder.resolve():
        raise DataError(
            f"output_dir: {folder.name} is the folder of the images, among which results would be lost. Give another, "
            f"for example {folder.name}/results"
        )
    aside: list[SetAside] = []
    said = Findings()
    items = find_items(source, slice_axis, aside, mask_pattern, said)
    require_short([item["id"] for item in items], folder)
    if classes is None and (classes := named_classes(source)) is not None:
        said.note("classes", f"classes were named by {DATASET_JSON}: {classes}")
    for row in (rows := said.rows()):
        logger.info("%s", row)
    return FoundSet(set_name(source), root_of(source), items, classes, aside, tuple(rows), slice_axis)


def set_name(source: Path) -> str:
    """Return what an image set is called: its folder, dots and all, or its file without suffix."""
    source = source.expanduser().absolute()
    return source.name if source.is_dir() else source.stem


def root_of(source: Path) -> Path:
    """Return the folder that image names are relative to."""
    return source.absolute() if source.is_dir() else source.absolute().parent
