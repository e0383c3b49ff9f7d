"""What is in a folder and belongs to no image: counted by kind, named, with what would bring it in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from labelmine.data.set_aside import SetAside, printable

#: Files named for each kind.
EXAMPLES = 3
#: Bytes at each end of a JSON file that are looked at; annotation files may hold gigabytes.
_LOOKED_AT = 65536
COCO_REMEDY = (
    "holds COCO annotations, which are not read: write one mask per image (pycocotools: COCO(file).annToMask) into "
    "masks/, named like the image"
)


def unused_rows(
    root: Path,
    images: Iterable[PurePosixPath],
    others: Iterable[PurePosixPath],
    skipped: Mapping[str, Iterable[PurePosixPath]],
) -> list[SetAside]:
    """Count what is not used: by top folder for image files, by format for others, by reason for what was skipped.

    Args:
        root: Folder of the set.
        images: Image files that were not used, relative to the set.
        others: Files of other formats.
        skipped: Reason -> what was not even looked at.

    Returns:
        Rows without id, in order of name.
    """
    kinds: dict[tuple[str, str], list[PurePosixPath]] = defaultdict(list)
    for path in images:
        kinds[_top(path), "image files outside the folders of images and masks"].append(path)
    for path in others:
        kinds[_where(path), _what(root / path)].append(path)
    for reason, paths in skipped.items():
        for path in paths:
            kinds[_top(path), reason].append(path)
    return [_row(place, reason, paths) for (place, reason), paths in sorted(kinds.items())]


def is_coco(path: Path) -> bool:
    """Whether a JSON file holds COCO annotations, told by the keys at its ends."""
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
            file.seek(max(0, path.stat().st_size - _LOOKED_AT))
            ends = start + file.read(_LOOKED_AT)
    except OSError:
        return False
    return b'"annotations"' in ends and any(key in ends for key in (b'"category_id"', b'"categories"'))


def _row(place: str, reason: str, paths: list[PurePosixPath]) -> SetAside:
    names = ", ".join(printable(str(path)) for path in paths[:EXAMPLES])
    return SetAside("", printable(place), f"{reason} ({len(paths)}: {names}{', ...' if len(paths) > EXAMPLES else ''})")


def _top(path: PurePosixPath) -> str:
    return f"{path.parts[0]}/" if len(path.parts) > 1 else "."


def _where(path: PurePosixPath) -> str:
    return str(path.parent / f"*{path.suffix}")


def _what(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".json" and is_coco(path):
        return COCO_REMEDY
    if suffix == ".csv" and _lists_images(path):
        return "a listing with a column `image`: give the file itself as dataset_dir to use it"
    return "no format of images" if suffix else "files without suffix, no DICOM"


def _lists_images(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return "image" in re.split(r"[,;\t]", file.readline(_LOOKED_AT).strip().lower())
    except OSError:
        return False
