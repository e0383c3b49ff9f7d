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

import nibabel as nib
import numpy as np
from tqdm import tqdm

from labelmine.atomic import write_whole
from labelmine.data.classes import ClassMap, ClassSpec
from labelmine.data.dicom_gold import dicom_gold_classes
from labelmine.data.findings import Findings
from labelmine.data.headers import NIFTI_SUFFIXES
from labelmine.data.image_assumptions import image_assumptions
from labelmine.data.intensities import Window
from labelmine.data.items import Item
from labelmine.data.loading import check_same_size, encode_mask, read_stored_mask
from labelmine.data.reading import read_image
from labelmine.data.sources import SetAside, keep_first, log_set_aside, relative_name
from labelmine.errors import DataError

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
    """

    items: list[Item]
    classes: ClassMap
    set_aside: list[SetAside]
    n_empty_masks: int


@dataclass(frozen=True)
class _Finding:
    """What opening one item showed: its mask's distinct values (with inferred classes) or whether it is empty."""

    item: Item
    problem: str = ""
    empty: bool = False
    values: np.ndarray | None = None
    foreign: frozenset[object] = frozenset()
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
        classes: The ``classes`` knob; ``None`` infers the classes from the masks seen here.
        window: As for ``read_image``.
        slice_axis: As for ``read_image``.
        set_aside: Findings of ``find_items``, kept in front of those made here.
        root: Folder of the set, to which paths in the quarantine are relative; by default the items' common folder.

    Raises:
        DataError: No item is left, or no mask holds any foreground.
    """
    folder = Path(root).expanduser().absolute() if root is not None else _common_folder(items)
    aside = list(set_aside)
    known = len(aside)
    unique = keep_first(items, aside, folder)
    class_map, noted = None if classes is None else ClassMap.from_config(classes), Findings()
    class_map = dicom_gold_classes(unique, class_map, noted)
    findings = _open_all(unique, class_map, window, slice_axis)
    aside += [SetAside(f.item["id"], _path(f.item, folder), f.problem) for f in findings if f.problem]
    write_quarantine(Path(quarantine), aside)
    log_set_aside(aside[known:])
    good = [finding for finding in findings if not finding.problem]
    for finding in good:
        for note in finding.assumptions:
            noted.note("display", note, finding.item["id"])
    for row in noted.rows():
        logger.info("%s", row)
    _refuse_none_left(good, aside, Path(quarantine))
    result_classes = class_map or ClassMap.infer(f.values for f in good if f.values is not None)
    n_empty = _count_empty(good, result_classes)
    return CheckedItems([finding.item for finding in good], result_classes, aside, n_empty)


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


def _open_all(
    items: Sequence[Item], classes: ClassMap | None, window: Window | None, slice_axis: int
) -> list[_Finding]:
    """Open items in threads (decoders release the GIL); slices of one volume stay in one thread, which caches it."""
    files = [list(group) for _, group in groupby(items, key=lambda item: item["image"])]

    def open_file(group: list[Item]) -> list[_Finding]:
        return [_open(item, classes, window, slice_axis) for item in group]

    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        found = tqdm(pool.map(open_file, files), total=len(files), desc="check data", unit="file", leave=False)
        return [finding for group in found for finding in group]


def _open(item: Item, classes: ClassMap | None, window: Window | None, slice_axis: int) -> _Finding:
    try:
        image = read_image(item, window, slice_axis)
        found = _Finding(item) if "label" not in item else _open_mask(item, image, classes, slice_axis)
        return replace(found, assumptions=tuple(image_assumptions(item)))
    except DataError as error:
        return _Finding(item, problem=str(error))


def _open_mask(item: Item, image: np.ndarray, classes: ClassMap | None, slice_axis: int) -> _Finding:
    path, encoder = item["label"], classes or ClassMap()
    _check_same_volume(item)
    mask = read_stored_mask(item, path, encoder, slice_axis)
    _check_values(mask, path)
    label = encode_mask(mask, path, encoder)
    check_same_size(label, image, path)
    if classes is None:
        return _Finding(item, empty=not label.any(), values=np.unique(mask))
    return _Finding(item, empty=not label.any(), foreign=frozenset[object](classes.foreign_values(mask)))


def _check_values(mask: np.ndarray, path: str) -> None:
    if not np.isfinite(mask).all() or (mask < 0).any():
        raise DataError(f"{Path(path).name}: mask holds negative or missing values; expected 0 for background and up")


def _check_same_volume(item: Item) -> None:
    """A mask volume of another depth would label the wrong slices without any other sign."""
    paths = (item["image"], item["label"])
    if not all(path.lower().endswith(NIFTI_SUFFIXES) for path in paths):
        return
    image, mask = (tuple(length for length in nib.load(path).shape if length > 1) for path in paths)
    if image != mask:
        raise DataError(f"{Path(paths[1]).name}: mask volume has shape {mask}, its image {image}; export it again")


def _refuse_none_left(good: Sequence[_Finding], aside: Sequence[SetAside], quarantine: Path) -> None:
    if not good:
        first = f"; the first: {aside[0].path}: {aside[0].reason}" if aside else ""
        raise DataError(f"no usable image: all {len(aside)} were set aside, see {quarantine.name}{first}")


def _count_empty(good: Sequence[_Finding], classes: ClassMap) -> int:
    """Count masks without foreground; these stay, as true negatives, but not when there is nothing else."""
    labeled = [finding for finding in good if "label" in finding.item]
    n_empty = sum(finding.empty for finding in labeled)
    foreign = sorted({str(value) for finding in labeled for value in finding.foreign})
    if foreign:
        logger.warning(
            "masks hold values that no class names, taken as background: %s; classes: %s",
            ", ".join(foreign[:10]),
            dict(zip(classes.names, classes.values or (), strict=False)),
        )
    if labeled and n_empty == len(labeled):
        wanted = "a positive value" if classes.values is None else f"one of the class values {classes.values}"
        raise DataError(
            f"all {n_empty} masks are empty: no pixel holds {wanted}; check that these are the gold masks, and the "
            "`classes` knob"
        )
    if n_empty > EMPTY_SHARE * len(labeled):
        logger.warning("%d of %d gold masks hold no foreground; they count as true negatives", n_empty, len(labeled))
    return n_empty
