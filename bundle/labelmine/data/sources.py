"""Finding the images of a set and their masks: a folder, a CSV table or a MONAI datalist becomes items."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from labelmine.data.case_groups import case_groups
from labelmine.data.dicom_geometry import order_by_position
from labelmine.data.dicom_gold import is_dicom_gold, label_by_dicom_gold
from labelmine.data.findings import Findings
from labelmine.data.folder_scan import Scan, scan_folder
from labelmine.data.headers import NIFTI_SUFFIXES, Header, file_kind, patient_groups, read_header, without_suffix
from labelmine.data.items import Item
from labelmine.data.listings import Entry, read_listing
from labelmine.data.mask_pattern import MaskPattern
from labelmine.data.nnunet import folder_of_dataset_json
from labelmine.data.pairing import refuse_unlabeled
from labelmine.data.set_aside import SetAside, keep_first, log_set_aside
from labelmine.data.writable import unwritable
from labelmine.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

FORMATS = "PNG, JPEG, BMP, TIFF, DICOM, NIfTI"


def find_items(
    dataset_dir: str | Path,
    slice_axis: int = -1,
    set_aside: list[SetAside] | None = None,
    mask_pattern: str | None = None,
    findings: Findings | None = None,
) -> list[Item]:
    """Find the images of a set; only headers are read.

    ``dataset_dir`` is one of: a folder with images and masks; a folder of images without masks, at any depth; one
    image file; a CSV table (``id,image,label,group,split``, only ``image`` needed); a MONAI datalist JSON; a
    ``dataset.json`` of nnU-Net.
    In a folder masks lie apart (``images/`` and ``masks/``, and the names of public sets) or beside their images, and
    are named like them, see ``pair_by_names``. Frames of a multi-frame DICOM and slices of a NIfTI volume become one
    item each, with the file, or the DICOM patient, as their group; see ``case_groups`` for folders of cases.

    Args:
        dataset_dir: Folder, or image, CSV or JSON file.
        slice_axis: Axis along which NIfTI volumes are cut.
        set_aside: Receives what cannot be used and what is not (hand it on to ``check_items``); logged either way.
        mask_pattern: Where the mask of an image lies in a folder, see ``MaskPattern``; None: names say it.
        findings: Receives what was assumed; None: it is logged.

    Returns:
        Items with absolute paths: for a listing in the file's order, for a folder sorted by id, slices of a DICOM
        series by position. DICOM Segmentations and RT Structure Sets, wherever they lie in the folder, become the
        ``label`` of the images that they refer to.

    Raises:
        ConfigError: A ``mask_pattern`` that cannot be read, or one for a listing.
        DataError: A missing or empty source, a listing that cannot be understood, or masks that can be read in two
            ways, or in none.
    """
    source = Path(dataset_dir).expanduser()
    if not source.exists():
        raise DataError(f"dataset_dir: {dataset_dir} does not exist; give a folder, a CSV or a datalist JSON")
    source = folder_of_dataset_json(source.absolute())
    said = findings if findings is not None else Findings()
    scan = _scan(source, mask_pattern, said)
    items = keep_first(_expand(scan, slice_axis, said), scan.set_aside, scan.root)
    items = _label_by_dicom_gold(scan, items, said)
    if items and not scan.is_told and not any("label" in item for item in items):
        refuse_unlabeled(scan.files, source.name)
    rows = [*scan.set_aside, *scan.unused]
    log_set_aside(rows)
    if findings is None:
        for row in said.rows():
            logger.info("%s", row)
    if set_aside is not None:
        set_aside.extend(rows)
    if not items:
        reasons = f"; first of {len(rows)} set aside: {rows[0].reason}" if rows else ""
        raise DataError(
            f"dataset_dir: no usable image in {dataset_dir}: expected {FORMATS} in a folder, in images/ (masks in "
            f"masks/ or labels/), or listed in a CSV or datalist JSON{reasons}"
        )
    return items


def _scan(source: Path, mask_pattern: str | None, findings: Findings) -> Scan:
    if source.is_dir():
        return scan_folder(source, MaskPattern.parse(mask_pattern) if mask_pattern is not None else None, findings)
    if mask_pattern is not None:
        raise ConfigError(f"mask_pattern: {source.name} is no folder; give one, or take the knob out")
    if file_kind(source) is not None:
        return Scan(source.parent, [Entry(without_suffix(source).name, source)], is_listing=True)
    unused: list[SetAside] = []
    return Scan(source.parent, read_listing(source, findings, unused), unused=unused, is_listing=True)


def _expand(scan: Scan, slice_axis: int, findings: Findings) -> list[Item]:
    readable = [(entry, header) for entry in scan.entries if (header := _header(scan, entry, slice_axis))]
    headers = [header for _, header in readable]
    groups = patient_groups([entry.id for entry, _ in readable], headers)
    if not scan.is_listing:
        groups = case_groups([entry.id for entry, _ in readable], groups, findings)
        order = order_by_position([header.series for header in headers], [header.depth for header in headers])
        readable, groups = [readable[index] for index in order], [groups[index] for index in order]
    frame_masks = dict(scan.frame_masks)
    items: list[Item] = []
    for (entry, header), group in zip(readable, groups, strict=True):
        items += _frames(replace(entry, group=entry.group or group), header, frame_masks)
    for name, path in sorted(frame_masks.items()):
        scan.reject(name, path, f"mask without image: expected an image named {name}.* ({FORMATS})")
    return items


def _header(scan: Scan, entry: Entry, slice_axis: int) -> Header | None:
    for path in (entry.image, *entry.labels):
        if not path.is_file():
            scan.reject(entry.id, path, "listed file does not exist; correct the path or remove the row")
            return None
    try:
        header = read_header(entry.image, slice_axis)
        volumes = all(label.name.lower().endswith(NIFTI_SUFFIXES) or is_dicom_gold(label) for label in entry.labels)
        if header.frames and not volumes:
            raise DataError(
                f"a 2-D mask cannot label {header.frames} frames; give a NIfTI mask volume, or one mask per frame "
                f"named {entry.id}_frame0000.png and so on"
            )
        if problem := unwritable(entry.id, entry.image, header.frames):
            raise DataError(problem)
    except DataError as error:
        scan.reject(entry.id, entry.image, str(error))
        return None
    if header.is_gold:
        scan.dicom_gold.append(entry.image)
        return None
    return header


def _label_by_dicom_gold(scan: Scan, items: list[Item], findings: Findings) -> list[Item]:
    if not scan.dicom_gold:
        return items
    search = label_by_dicom_gold(items, scan.dicom_gold)
    for path, reason in search.unused:
        scan.reject(without_suffix(path).name, path, reason)
    for note in search.notes:
        findings.note("segmentation", note)
    return search.items


def _frames(entry: Entry, header: Header, frame_masks: dict[str, Path]) -> list[Item]:
    if header.frames is None:
        return [_item(entry, entry.id, entry.labels)]
    items = []
    for frame in range(header.frames):
        name = f"{entry.id}_frame{frame:04d}"
        own = frame_masks.pop(name, None) if not entry.labels else None
        item = _item(entry, name, entry.labels if own is None else (own,))
        items.append(Item({**item, "frame": frame}))
    return items


def _item(entry: Entry, name: str, labels: tuple[Path, ...]) -> Item:
    item = Item(id=name, image=str(entry.image), group=entry.group or entry.id)
    if labels:
        item["label"] = str(labels[0])
    if len(labels) > 1:
        item["label_parts"] = [str(label) for label in labels]
    if entry.split is not None:
        item["split"] = entry.split
    return item
