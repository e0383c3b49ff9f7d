"""Reading image sets that are listed in a file: CSV tables and MONAI datalists."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import pandas as pd

from labelmine.data.findings import Findings
from labelmine.data.headers import without_suffix
from labelmine.data.items import Split
from labelmine.data.nnunet import KNOWN_KEYS
from labelmine.data.set_aside import SetAside
from labelmine.data.unused_files import COCO_REMEDY, is_coco
from labelmine.errors import DataError

COLUMNS = ("id", "image", "label", "group", "split")
#: Names under which tables list image, gold mask and patient; the latter makes groups where no `group` does.
NAMES = {
    "image": ("image", "image_path", "img", "img_path", "image_file"),
    "label": ("label", "mask", "seg", "segmentation", "gt", "ground_truth", "mask_path", "label_path", "mask_file"),
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id"),
}
#: Parts the masks of one image in a cell; no file system's own separator.
PARTS = "|"
#: Unused columns and keys that are named.
MAX_NAMES = 10
SPLIT_NAMES: dict[str, Split] = {
    **{name: name for name in get_args(Split)},
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
    "unlabelled": "unlabeled",
}
#: Sections of a MONAI datalist and the split each stands for.
SECTIONS: dict[str, Split] = {
    "training": "train",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "unlabeled": "unlabeled",
}


#: What is not used: kind -> names.
Spare = Mapping[str, Iterable[str]]


@dataclass(frozen=True)
class Entry:
    """One image file as its source lists it, frames not yet told apart.

    Attributes:
        id: Stable name of the file in the set.
        image: Image file.
        labels: Files of the gold mask, which are united where there are several; none where it is unlabelled.
        group: Group given by the source, or ``None``.
        split: Split given by the source, or ``None``.
    """

    id: str
    image: Path
    labels: tuple[Path, ...] = ()
    group: str | None = None
    split: Split | None = None


def read_listing(path: Path, findings: Findings | None = None, unused: list[SetAside] | None = None) -> list[Entry]:
    """Read a CSV table or a MONAI datalist JSON; relative paths are relative to the file.

    Masks are in the column ``label`` (or ``mask``, ``seg``, ``segmentation``, ``gt``); several of one image are
    parted by ``|``. Images of one ``patient_id`` are a group, named after the first of them.

    Args:
        path: The file.
        findings: Receives which column of another name held images, masks or patients.
        unused: Receives the columns and keys that were not used.

    Raises:
        DataError: A file of another type, or one that cannot be understood.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows, spare = _csv_rows(path, findings if findings is not None else Findings())
    elif suffix == ".json":
        rows, spare = _datalist_rows(path, findings if findings is not None else Findings())
    else:
        raise DataError(f"{path}: expected a folder, a .csv table or a .json datalist, got {suffix or 'no suffix'}")
    if not rows:
        raise DataError(f"{path}: lists no image; add rows with an `image` path")
    if unused is not None:
        unused += [
            SetAside("", path.name, f"{what} not used: {_shown(names)}") for what, names in spare.items() if names
        ]
    return _entries(rows, path)


def _csv_rows(path: Path, findings: Findings) -> tuple[list[dict[str, str]], Spare]:
    try:
        header = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        # Spreadsheets of half of Europe write semicolons.
        separator = ";" if ";" in header and "," not in header else ","
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({error}); save it as UTF-8 CSV") from error
    table.columns = pd.Index([str(column).strip().lower() for column in table.columns])
    given = tuple(table.columns)
    table = table.rename(columns=_renamed_columns(list(given), path.name, findings))
    if "image" not in table.columns:
        raise DataError(f"{path}: expected a column `image` among {COLUMNS}, got {given}")
    used = (*COLUMNS, "patient") if "group" not in given else COLUMNS
    spare = [str(column) for column in table.columns if column not in used]
    known = table[[column for column in table.columns if column in used]]
    rows = [{str(key): str(value).strip() for key, value in row.items()} for row in known.to_dict("records")]
    return rows, {"columns": spare}


def _renamed_columns(columns: list[str], name: str, findings: Findings) -> dict[str, str]:
    """Return what to rename so that columns are called ``image``, ``label`` and ``patient``."""
    renamed: dict[str, str] = {}
    for known, names in NAMES.items():
        found = [column for column in columns if column in names]
        if known == "patient":
            found = [] if "group" in columns else found[:1]
        if len(found) > 1:
            what = {"image": "images", "label": "masks"}[known]
            raise DataError(f"{name}: expected one column of {what}, got {found}; keep one of them, called `{known}`")
        renamed |= dict.fromkeys(found, known)
        if found and found != [known] and known != "patient":
            what = {"image": "the images'", "label": "the masks'"}[known]
            findings.note("listing", f"the column `{found[0]}` of {name} was read as {what} (`{known}`)")
        elif found and known == "patient":
            findings.note("listing", f"images of one `{found[0]}` of {name} are a group, which no split parts")
    return renamed


def _renamed(row: Any, names: Mapping[str, str]) -> Any:
    return {names.get(key, key): value for key, value in row.items()} if isinstance(row, Mapping) else row


def _shown(names: Iterable[str]) -> str:
    names = sorted(set(names))
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _datalist_rows(path: Path, findings: Findings) -> tuple[list[dict[str, str]], Spare]:
    try:
        datalist = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    sections = [name for name in SECTIONS if isinstance(datalist, Mapping) and isinstance(datalist.get(name), list)]
    if not sections:
        if is_coco(path):
            raise DataError(f"{path}: {COCO_REMEDY}, and give their folder as dataset_dir")
        raise DataError(f"{path}: expected a MONAI datalist with lists named {tuple(SECTIONS)}; found none")
    keys = {str(key) for name in sections for row in datalist[name] if isinstance(row, Mapping) for key in row}
    renamed = _renamed_columns(sorted(keys), path.name, findings)
    for name in sections:
        datalist[name] = [_renamed(row, renamed) for row in datalist[name]]
    spare = {"keys": set(datalist) - set(sections) - KNOWN_KEYS, "keys of rows": keys - set(COLUMNS) - set(renamed)}
    rows = [_datalist_row(path, name, number, row) for name in sections for number, row in enumerate(datalist[name])]
    if {row["split"] for row in rows if row.get("label")} == {"train"}:
        # A lone training section says nothing about validation and test: the seeded split decides.
        rows = [row | {"split": "" if row.get("label") else row["split"]} for row in rows]
    return rows, spare


def _datalist_row(path: Path, section: str, number: int, row: Any) -> dict[str, str]:
    fields = row if isinstance(row, Mapping) else {"image": row}
    if not isinstance(fields.get("image"), str) or not isinstance(fields.get("label", ""), str):
        raise DataError(f"{path}: {section}[{number}]: expected one `image` path and at most one `label`, got {row!r}")
    known = {key: str(fields[key]) for key in (*COLUMNS, "patient") if fields.get(key) is not None}
    # The Medical Segmentation Decathlon's test section has no masks: those images are there to be labelled.
    split = SECTIONS[section] if known.get("label") else "unlabeled"
    return {"split": split} | known


def _entries(rows: list[dict[str, str]], path: Path) -> list[Entry]:
    for number, row in enumerate(rows, start=1):
        if not row.get("image"):
            raise DataError(f"{path}: row {number} has no `image` path")
    images = [_existing(path.parent / Path(row["image"]).expanduser()) for row in rows]
    names = _default_ids(images, path.parent)
    entries = [
        _entry(row, f"{path}: row {n}", path.parent, image, name)
        for n, (row, image, name) in enumerate(zip(rows, images, names, strict=True), start=1)
    ]
    # Groups are written into a run's files; a patient's number is not.
    first: dict[str, str] = {}
    return [
        replace(entry, group=first.setdefault(row["patient"], entry.id))
        if row.get("patient") and not entry.group
        else entry
        for row, entry in zip(rows, entries, strict=True)
    ]


def _entry(row: dict[str, str], where: str, base: Path, image: Path, default_id: str) -> Entry:
    split = row.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise DataError(f"{where}: split: expected one of {get_args(Split)} or nothing, got {split!r}")
    name = PurePosixPath(row.get("id") or default_id)
    if name.is_absolute() or ".." in name.parts:
        # Ids name the files that are written for an image, which must stay inside the output folder.
        raise DataError(f"{where}: id: expected a relative name without `..`, got {str(name)!r}")
    return Entry(
        id=name.as_posix(),
        image=image,
        labels=tuple(
            _existing(base / Path(part.strip()).expanduser())
            for part in row.get("label", "").split(PARTS)
            if part.strip()
        ),
        group=row.get("group") or None,
        split=SPLIT_NAMES.get(split),
    )


def _existing(path: Path) -> Path:
    """Return the file as it is on disk: accents may be stored apart, nnU-Net's channel may not be listed."""
    if path.is_file():
        return path
    forms = [path.with_name(unicodedata.normalize(form, path.name)) for form in ("NFC", "NFD")]
    forms += [Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD")]
    stem = Path(without_suffix(path))
    channels = [stem.with_name(f"{stem.name}_000{n}{path.name[len(stem.name) :]}") for n in (0, 1)]
    if all(channel.is_file() for channel in channels):
        raise DataError(
            f"{path}: has several channels ({channels[0].name}, {channels[1].name}, ...), of which a student sees one; "
            "list the file of one of them"
        )
    return next((form for form in (*forms, channels[0]) if form.is_file()), path)


def _default_ids(images: list[Path], base: Path) -> list[str]:
    """Paths below the listing's folder, or below the images' common folder where some lie outside."""
    images = [Path(os.path.abspath(image)) for image in images]
    root = Path(os.path.abspath(base))
    if not all(image.is_relative_to(root) for image in images):
        root = Path(os.path.commonpath([image.parent for image in images]))
    return [without_suffix(image.relative_to(root)).as_posix() for image in images]
