"""Reading image sets that are listed in a file: CSV tables and MONAI datalists."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import pandas as pd

from labelmine.data.headers import without_suffix
from labelmine.data.items import Split
from labelmine.errors import DataError

COLUMNS = ("id", "image", "label", "group", "split")
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


@dataclass(frozen=True)
class Entry:
    """One image file as its source lists it, frames not yet told apart.

    Attributes:
        id: Stable name of the file in the set.
        image: Image file.
        label: Gold mask, or ``None``.
        group: Group given by the source, or ``None``.
        split: Split given by the source, or ``None``.
    """

    id: str
    image: Path
    label: Path | None = None
    group: str | None = None
    split: Split | None = None


def read_listing(path: Path) -> list[Entry]:
    """Read a CSV table or a MONAI datalist JSON; relative paths are relative to the file.

    Raises:
        DataError: A file of another type, or one that cannot be understood.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = _csv_rows(path)
    elif suffix == ".json":
        rows = _datalist_rows(path)
    else:
        raise DataError(f"{path}: expected a folder, a .csv table or a .json datalist, got {suffix or 'no suffix'}")
    if not rows:
        raise DataError(f"{path}: lists no image; add rows with an `image` path")
    return _entries(rows, path)


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        header = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        # Spreadsheets of half of Europe write semicolons.
        separator = ";" if ";" in header and "," not in header else ","
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({error}); save it as UTF-8 CSV") from error
    table.columns = pd.Index([str(column).strip().lower() for column in table.columns])
    if "image" not in table.columns:
        raise DataError(f"{path}: expected a column `image` among {COLUMNS}, got {tuple(table.columns)}")
    known = table[[column for column in table.columns if column in COLUMNS]]
    return [{str(key): str(value).strip() for key, value in row.items()} for row in known.to_dict("records")]


def _datalist_rows(path: Path) -> list[dict[str, str]]:
    try:
        datalist = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    sections = [name for name in SECTIONS if isinstance(datalist, Mapping) and isinstance(datalist.get(name), list)]
    if not sections:
        raise DataError(f"{path}: expected a MONAI datalist with lists named {tuple(SECTIONS)}; found none")
    rows = [_datalist_row(path, name, number, row) for name in sections for number, row in enumerate(datalist[name])]
    if {row["split"] for row in rows if row.get("label")} == {"train"}:
        # A lone training section says nothing about validation and test: the seeded split decides.
        rows = [row | {"split": "" if row.get("label") else row["split"]} for row in rows]
    return rows


def _datalist_row(path: Path, section: str, number: int, row: Any) -> dict[str, str]:
    fields = row if isinstance(row, Mapping) else {"image": row}
    if not isinstance(fields.get("image"), str) or not isinstance(fields.get("label", ""), str):
        raise DataError(f"{path}: {section}[{number}]: expected one `image` path and at most one `label`, got {row!r}")
    known = {key: str(fields[key]) for key in COLUMNS if fields.get(key) is not None}
    # The Medical Segmentation Decathlon's test section has no masks: those images are there to be labelled.
    split = SECTIONS[section] if known.get("label") else "unlabeled"
    return {"split": split} | known


def _entries(rows: list[dict[str, str]], path: Path) -> list[Entry]:
    for number, row in enumerate(rows, start=1):
        if not row.get("image"):
            raise DataError(f"{path}: row {number} has no `image` path")
    images = [path.parent / Path(row["image"]).expanduser() for row in rows]
    names = _default_ids(images, path.parent)
    return [_entry(row, f"{path}: row {n}", path.parent, names[n - 1]) for n, row in enumerate(rows, start=1)]


def _entry(row: dict[str, str], where: str, base: Path, default_id: str) -> Entry:
    split = row.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise DataError(f"{where}: split: expected one of {get_args(Split)} or nothing, got {split!r}")
    name = PurePosixPath(row.get("id") or default_id)
    if name.is_absolute() or ".." in name.parts:
        # Ids name the files that are written for an image, which must stay inside the output folder.
        raise DataError(f"{where}: id: expected a relative name without `..`, got {str(name)!r}")
    return Entry(
        id=name.as_posix(),
        image=base / Path(row["image"]).expanduser(),
        label=base / Path(row["label"]).expanduser() if row.get("label") else None,
        group=row.get("group") or None,
        split=SPLIT_NAMES.get(split),
    )


def _default_ids(images: list[Path], base: Path) -> list[str]:
    """Paths below the listing's folder, or below the images' common folder where some lie outside."""
    images = [Path(os.path.abspath(image)) for image in images]
    root = Path(os.path.abspath(base))
    if not all(image.is_relative_to(root) for image in images):
        root = Path(os.path.commonpath([image.parent for image in images]))
    return [without_suffix(image.relative_to(root)).as_posix() for image in images]
