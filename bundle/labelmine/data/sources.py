"""Finding the images of a set and their masks: a folder, a CSV table or a MONAI datalist becomes items."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelmine.data.dicom_geometry import order_by_position
from labelmine.data.dicom_gold import is_dicom_gold, label_by_dicom_gold
from labelmine.data.headers import (
    NIFTI_SUFFIXES,
    Header,
    file_kind,
    patient_groups,
    read_header,
    without_suffix,
)
from labelmine.data.items import Item
from labelmine.data.listings import Entry, read_listing
from labelmine.errors import DataError

logger = logging.getLogger(__name__)

IMAGE_FOLDER = "images"
MASK_FOLDERS = ("masks", "labels")
FORMATS = "PNG, JPEG, BMP, TIFF, DICOM, NIfTI"


@dataclass(frozen=True)
class SetAside:
    """A file that cannot be used, and why; one row of ``quarantine.csv``.

    Attributes:
        id: Id of the item.
        path: The file, relative to the image set where it lies inside.
        reason: What is wrong and how to mend it.
    """

    id: str
    path: str
    reason: str


@dataclass
class _Scan:
    """What one source holds: entries, masks of single frames by item id, and what was set aside on the way."""

    root: Path
    entries: list[Entry]
    frame_masks: Mapping[str, Path] = field(default_factory=dict)
    set_aside: list[SetAside] = field(default_factory=list)
    dicom_gold: list[Path] = field(default_factory=list)
    is_listing: bool = False

    def reject(self, name: str, path: Path, reason: str) -> None:
        self.set_aside.append(SetAside(name, relative_name(path, self.root), reason))


def find_items(dataset_dir: str | Path, slice_axis: int = -1, set_aside: list[SetAside] | None = None) -> list[Item]:
    """Find the images of a set; only headers are read.

    ``dataset_dir`` is one of: a folder with ``images/`` and ``masks/`` (or ``labels/``) whose files have equal paths
    without suffix, at any depth; a folder of images without masks, at any depth; a CSV table
    (``id,image,label,group,split``, only ``image`` needed); a MONAI datalist JSON. Frames of a multi-frame DICOM and
    slices of a NIfTI volume become one item each, with the file, or the DICOM patient, as their group.

    Args:
        dataset_dir: Folder, or CSV or JSON file.
        slice_axis: Axis along which NIfTI volumes are cut.
        set_aside: Receives what cannot be used (hand it on to ``check_items``); each is logged either way.

    Returns:
        Items with absolute paths: for a listing in the file's order, for a folder sorted by id, slices of a DICOM
        series by position. DICOM Segmentations and RT Structure Sets, wherever they lie in the folder, become the
        ``label`` of the images that they refer to.

    Raises:
        DataError: A missing or empty source, or a listing that cannot be understood.
    """
    source = Path(dataset_dir).expanduser()
    if not source.exists():
        raise DataError(f"dataset_dir: {dataset_dir} does not exist; give a folder, a CSV or a datalist JSON")
    source = source.absolute()
    scan = _scan_folder(source) if source.is_dir() else _Scan(source.parent, read_listing(source), is_listing=True)
    items = keep_first(_expand(scan, slice_axis), scan.set_aside, scan.root)
    items = _label_by_dicom_gold(scan, items)
    log_set_aside(scan.set_aside)
    if set_aside is not None:
        set_aside.extend(scan.set_aside)
    if not items:
        reasons = f"; first of {len(scan.set_aside)} set aside: {scan.set_aside[0].reason}" if scan.set_aside else ""
        raise DataError(
            f"dataset_dir: no usable image in {dataset_dir}: expected {FORMATS} in a folder, in images/ (masks in "
            f"masks/ or labels/), or listed in a CSV or datalist JSON{reasons}"
        )
    return items


def log_set_aside(rows: Sequence[SetAside], limit: int = 10) -> None:
    """Name the first files that were set aside, and count the rest."""
    for row in rows[:limit]:
        logger.warning("set aside: %s (%s): %s", row.id, row.path, row.reason)
    if len(rows) > limit:
        logger.warning("set aside: %d more, all listed in quarantine.csv", len(rows) - limit)


def relative_name(path: Path, root: Path) -> str:
    """Path below ``root``, else the bare file name, so that no user's folder is written anywhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def keep_first(items: Iterable[Item], set_aside: list[SetAside], root: Path) -> list[Item]:
    """Drop items whose id came before, and say so in ``set_aside``."""
    kept: dict[str, Item] = {}
    for item in items:
        first = kept.setdefault(item["id"], item)
        if first is not item:
            name = relative_name(Path(first["image"]), root)
            reason = f"doubled id: {name} already has it; rename or remove one of them"
            set_aside.append(SetAside(item["id"], relative_name(Path(item["image"]), root), reason))
    return list(kept.values())


def _scan_folder(folder: Path) -> _Scan:
    images = folder / IMAGE_FOLDER
    present = [folder / name for name in MASK_FOLDERS if (folder / name).is_dir()]
    if not images.is_dir():
        _refuse_stray_masks(folder)
        return _Scan(folder, _list_images(folder))
    if len(present) > 1:
        raise DataError(f"{folder}: holds both {' and '.join(f'{p.name}/' for p in present)}; keep the gold masks only")
    scan = _Scan(folder, _list_images(images))
    elsewhere = [path for path in _files(folder) if not any(path.is_relative_to(p) for p in (images, *present))]
    scan.dicom_gold += [path for path in elsewhere if file_kind(path) == "dicom" and is_dicom_gold(path)]
    return _pair(scan, present[0]) if present else scan


def _refuse_stray_masks(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and path.name.lower() in MASK_FOLDERS:
            raise DataError(
                f"{folder}: has no images/ folder, but masks in {path.relative_to(folder)}/, which would be taken for "
                f"images; give the folder that holds {IMAGE_FOLDER}/ and {path.name}/, or list the pairs in a CSV"
            )


def _files(folder: Path) -> list[Path]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    visible = (p for p in paths if not any(part.startswith((".", "__")) for part in p.relative_to(folder).parts))
    return sorted(visible)


def _list_images(folder: Path) -> list[Entry]:
    files = [path for path in _files(folder) if file_kind(path) is not None]
    entries = [Entry(without_suffix(path.relative_to(folder)).as_posix(), path) for path in files]
    return sorted(entries, key=lambda entry: entry.id)


def _pair(scan: _Scan, folder: Path) -> _Scan:
    """Give each entry the mask of its name; masks named like one frame stay apart until frames are known."""
    masks: dict[str, Path] = {}
    for path in _files(folder):
        name = without_suffix(path.relative_to(folder)).as_posix()
        kind = file_kind(path)
        if kind == "dicom" and is_dicom_gold(path):
            scan.dicom_gold.append(path)
        elif kind == "dicom":
            scan.reject(name, path, "masks are read from PNG, TIFF, BMP, JPEG or NIfTI; export this one as such")
        elif kind is not None and masks.setdefault(name, path) is not path:
            scan.reject(name, path, f"second mask of this name beside {masks[name].name}; keep one of them")
    entries = [replace(entry, label=masks.pop(entry.id, None)) for entry in scan.entries]
    return replace(scan, entries=entries, frame_masks=masks)


def _expand(scan: _Scan, slice_axis: int) -> list[Item]:
    readable = [(entry, header) for entry in scan.entries if (header := _header(scan, entry, slice_axis))]
    headers = [header for _, header in readable]
    groups = patient_groups([entry.id for entry, _ in readable], headers)
    if not scan.is_listing:
        order = order_by_position([header.series for header in headers], [header.depth for header in headers])
        readable, groups = [readable[index] for index in order], [groups[index] for index in order]
    frame_masks = dict(scan.frame_masks)
    items: list[Item] = []
    for (entry, header), group in zip(readable, groups, strict=True):
        items += _frames(replace(entry, group=entry.group or group), header, frame_masks)
    for name, path in sorted(frame_masks.items()):
        scan.reject(name, path, f"mask without image: expected {IMAGE_FOLDER}/{name}.* ({FORMATS})")
    return items


def _header(scan: _Scan, entry: Entry, slice_axis: int) -> Header | None:
    for path in filter(None, (entry.image, entry.label)):
        if not path.is_file():
            scan.reject(entry.id, path, "listed file does not exist; correct the path or remove the row")
            return None
    try:
        header = read_header(entry.image, slice_axis)
        label_is_volume = entry.label is not None and (
            entry.label.name.lower().endswith(NIFTI_SUFFIXES) or is_dicom_gold(entry.label)
        )
        if header.frames and entry.label and not label_is_volume:
            raise DataError(
                f"a 2-D mask cannot label {header.frames} frames; give a NIfTI mask volume, or one mask per frame "
                f"named {entry.id}_frame0000.png and so on"
            )
    except DataError as error:
        scan.reject(entry.id, entry.image, str(error))
        return None
    if header.is_gold:
        scan.dicom_gold.append(entry.image)
        return None
    return header


def _label_by_dicom_gold(scan: _Scan, items: list[Item]) -> list[Item]:
    if not scan.dicom_gold:
        return items
    search = label_by_dicom_gold(items, scan.dicom_gold)
    for path, reason in search.unused:
        scan.reject(without_suffix(path).name, path, reason)
    for note in search.notes:
        logger.info("%s", note)
    return search.items


def _frames(entry: Entry, header: Header, frame_masks: dict[str, Path]) -> list[Item]:
    if header.frames is None:
        return [_item(entry, entry.id, entry.label)]
    items = []
    for frame in range(header.frames):
        name = f"{entry.id}_frame{frame:04d}"
        item = _item(entry, name, entry.label or frame_masks.pop(name, None))
        items.append(Item({**item, "frame": frame}))
    return items


def _item(entry: Entry, name: str, label: Path | None) -> Item:
    item = Item(id=name, image=str(entry.image), group=entry.group or entry.id)
    if label is not None:
        item["label"] = str(label)
    if entry.split is not None:
        item["split"] = entry.split
    return item
