"""Opening every file once before a run starts: what is bad is set aside with its reason, the rest goes on."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from labelmine.atomic import write_whole
from labelmine.data.classes import ClassMap, ClassSpec
from labelmine.data.dicom_gold import dicom_gold_classes
from labelmine.data.findings import Finding, Findings
from labelmine.data.image_assumptions import image_assumptions
from labelmine.data.intensities import Window
from labelmine.data.items import Item
from labelmine.data.level_rules import choose_classes, classes_of_levels, misfit
from labelmine.data.levels import MaskLevels, measure_levels
from labelmine.data.loading import read_mask_of
from labelmine.data.mask_position import check_exif_turn, check_formats, check_size
from labelmine.data.polarity import note_polarity
from labelmine.data.reading import read_image
from labelmine.data.set_aside import SetAside, keep_first, log_set_aside, relative_name
from labelmine.errors import DataError
from labelmine.progress import progress

logger = logging.getLogger(__name__)

#: More empty masks than this share are worth a warning: often the wrong folder, or classes that do not match.
EMPTY_SHARE = 0.5


@dataclass(frozen=True)
class CheckedItems:
    """An image set whose every file could be read.

    Attributes:
        items: The good items, in their order.
        classes: Given or inferred classes.
        set_aside: Everything set aside, findings of the source first; the rows of ``quarantine.csv``.
        n_empty_masks: Good items whose gold mask holds no foreground.
        findings: What was assumed of the masks, and what is odd about them.
    """

    items: list[Item]
    classes: ClassMap
    set_aside: list[SetAside]
    n_empty_masks: int
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class _Opened:
    """What opening one item showed: what is wrong, or the levels of its mask.

    ``shown`` is what was assumed of its image, ``assumptions`` what was assumed of its mask.
    """

    item: Item
    problem: str = ""
    levels: MaskLevels | None = None
    shown: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()


def check_items(
    items: Sequence[Item],
    quarantine: str | Path,
    classes: ClassSpec | ClassMap = None,
    *,
    window: Window | None = None,
    slice_axis: int = -1,
    set_aside: Iterable[SetAside] = (),
    root: str | Path | None = None,
) -> CheckedItems:
    """Decode every image and mask fully, and set aside what cannot be used.

    Args:
        items: Items of ``find_items``.
        quarantine: CSV file to write (``id,path,reason``); written even when empty, so that an old one never lingers.
        classes: The ``classes`` knob; ``None`` infers the classes from the masks seen here, see ``choose_classes``.
        window: As for ``read_image``.
        slice_axis: As for ``read_image``.
        set_aside: Findings of ``find_items``, kept in front of those made here.
        root: Folder of the set, to which paths in the quarantine are relative; by default the items' common folder.

    Raises:
        ConfigError: Masks of several levels, which would become one class without being asked for.
        DataError: No item is left, or no mask holds any foreground.
    """
    folder = Path(root).expanduser().absolute() if root is not None else _common_folder(items)
    aside = list(set_aside)
    known = len(aside)
    unique = keep_first(items, aside, folder)
    findings = Findings()
    given = None if classes is None else ClassMap.from_config(classes)
    known_classes = dicom_gold_classes(unique, given, findings)
    found = _open_all(unique, known_classes, window, slice_axis)
    masks = [one.levels for one in found if one.levels]
    class_map = choose_classes(known_classes, masks, findings) if masks or known_classes is not None else ClassMap()
    found = [_fitting(one, class_map) for one in found]
    aside += [SetAside(one.item["id"], _path(one.item, folder), one.problem) for one in found if one.problem]
    write_quarantine(Path(quarantine), aside)
    log_set_aside(aside[known:])
    good = [one for one in found if not one.problem]
    _refuse_none_left(good, aside, Path(quarantine))
    n_empty = _count_empty([one.levels for one in good if one.levels], class_map)
    _note_assumptions(good, class_map, findings)
    rows = tuple(findings.rows())
    for row in rows:
        logger.info("%s", row)
    return CheckedItems([one.item for one in good], class_map, aside, n_empty, rows)


def write_quarantine(path: Path, rows: Iterable[SetAside]) -> None:
    """Write ``quarantine.csv`` in one step, so that a killed run leaves the old file or the new one, whole."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "path", "reason"))
    writer.writerows((row.id, row.path, row.reason) for row in rows)
    write_whole(path, text.getvalue().encode())


def _common_folder(items: Sequence[Item]) -> Path:
    folders = [Path(path).absolute().parent for item in items for path in (item["image"], item.get("label")) if path]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _path(item: Item, folder: Path) -> str:
    return relative_name(Path(item["image"]).absolute(), folder)


def _open_all(items: Sequence[Item], classes: ClassMap | None, window: Window | None, slice_axis: int) -> list[_Opened]:
    """Open items in threads (decoders release the GIL); slices of one volume stay in one thread, which caches it."""
    files = [list(group) for _, group in groupby(items, key=lambda item: item["image"])]

    def open_file(group: list[Item]) -> list[_Opened]:
        return [_open(item, classes, window, slice_axis) for item in group]

    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        found = progress(pool.map(open_file, files), "check data", "file", len(files), leave=False)
        return [one for group in found for one in group]


def _open(item: Item, classes: ClassMap | None, window: Window | None, slice_axis: int) -> _Opened:
    try:
        image = read_image(item, window, slice_axis)
        opened = _Opened(item) if "label" not in item else _open_mask(item, image, classes, slice_axis)
        return replace(opened, shown=tuple(image_assumptions(item)))
    except DataError as error:
        return _Opened(item, problem=str(error))


def _open_mask(item: Item, image: np.ndarray, classes: ClassMap | None, slice_axis: int) -> _Opened:
    check_formats(item)
    mask = read_mask_of(item, item["label"], classes, slice_axis)
    size = (mask.values.shape[0], mask.values.shape[1])
    turned = check_exif_turn(item, size, (image.shape[0], image.shape[1]))
    check_size(size, image.shape[:2], item["label"])
    levels = measure_levels(mask, item["label"], keep_color=classes is not None and classes.is_color)
    return _Opened(item, levels=levels, assumptions=tuple(filter(None, (*mask.assumptions, turned))))


def _fitting(one: _Opened, classes: ClassMap) -> _Opened:
    """Set aside what does not fit the classes that the whole set has."""
    problem = misfit(one.levels, classes) if one.levels else ""
    return replace(one, problem=problem, levels=None) if problem else one


def _note_assumptions(good: Sequence[_Opened], classes: ClassMap, findings: Findings) -> None:
    said = {(sentence, one.item["label"]) for one in good for sentence in one.assumptions}
    for sentence, path in sorted(said):
        findings.note("reading", sentence, Path(path).name)
    for one in good:
        for sentence in one.shown:
            findings.note("display", sentence, one.item["id"])
    note_polarity([one.levels for one in good if one.levels], classes, findings)


def _refuse_none_left(good: Sequence[_Opened], aside: Sequence[SetAside], quarantine: Path) -> None:
    if not good:
        lost = [row for row in aside if row.id]
        first = f"; the first: {lost[0].path}: {lost[0].reason}" if lost else ""
        raise DataError(f"no usable image: all {len(lost)} were set aside, see {quarantine.name}{first}")


def _count_empty(masks: Sequence[MaskLevels], classes: ClassMap) -> int:
    """Count masks without foreground; these stay, as true negatives, but not when there is nothing else."""
    n_empty = sum(not classes_of_levels(one, classes).any() for one in masks)
    foreign = sorted({str(v) for one in masks if not one.is_lossy for v in classes.foreign_values(one.values[None])})
    if foreign:
        logger.warning(
            "masks hold values that no class names, taken as background: %s; classes: %s",
            ", ".join(foreign[:10]) + (f" and {len(foreign) - 10} more" if len(foreign) > 10 else ""),
            dict(zip(classes.names, classes.values or (), strict=False)),
        )
    if masks and n_empty == len(masks):
        wanted = "a positive value" if classes.values is None else f"one of the class values {classes.values}"
        raise DataError(
            f"all {n_empty} masks are empty: no pixel holds {wanted}; check that these are the gold masks, and the "
            "`classes` knob"
        )
    if n_empty > EMPTY_SHARE * len(masks):
        logger.warning("%d of %d gold masks hold no foreground; they count as true negatives", n_empty, len(masks))
    return n_empty
