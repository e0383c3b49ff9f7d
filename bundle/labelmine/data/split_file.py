"""``split.json``: the split of a run, written once and taken up again by every later run in the same folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelmine.atomic import write_whole
from labelmine.checksums import require_sound
from labelmine.data.duplicates import Pair
from labelmine.data.items import Item, Split
from labelmine.errors import DataError

SPLIT_NAMES: tuple[Split, ...] = ("train", "val", "test", "unlabeled")
SPLIT_FILE_NAME = "split.json"


def save_split(
    path: str | Path, found: Sequence[Item], split: Sequence[Item], settings: Mapping[str, Any], pairs: Sequence[Pair]
) -> None:
    """Write the split at once, so that a killed run leaves all of it or nothing.

    Args:
        path: The file to write.
        found: Items before splitting.
        split: Items with their split; some of those found may be missing (held out).
        settings: Knobs that shaped the split.
        pairs: Near-duplicates that were joined.
    """
    content: dict[str, Any] = {"settings": {**settings, "dataset": _digest(found)}}
    content |= {name: sorted(item["id"] for item in split if item.get("split") == name) for name in SPLIT_NAMES}
    content["held_out"] = sorted({item["id"] for item in found} - {item["id"] for item in split})
    content["near_duplicates"] = [list(pair) for pair in pairs]
    write_whole(Path(path), json.dumps(content, indent=1).encode())


def load_split(
    path: str | Path, found: Sequence[Item], settings: Mapping[str, Any]
) -> tuple[list[Item], list[Pair]] | None:
    """Take up the split of an earlier run.

    Args:
        path: The file that an earlier run wrote; None is returned where there is none.
        found: Items before splitting, the same as then.
        settings: Knobs, the same as then.

    Returns:
        Items with their split, and the near-duplicate pairs.

    Raises:
        DataError: The file is damaged, or was made with another seed, fraction or image set.
    """
    file = Path(path)
    if not file.is_file():
        return None
    split_of, pairs, earlier = _read(file)
    _refuse_changes(file, earlier, {**settings, "dataset": _digest(found)})
    return [_placed(item, split_of[item["id"]]) for item in found if item["id"] in split_of], pairs


def adopt_split(path: str | Path, found: Sequence[Item]) -> tuple[list[Item], list[Pair]]:
    """Split as another run did, whatever seed and fractions it had.

    Args:
        path: ``split.json`` of that run.
        found: Items before splitting, the same as there.

    Returns:
        Items with their split, and the near-duplicate pairs.

    Raises:
        DataError: The file is missing or damaged, or is about other images.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"split_file: {file} is not there. Give the split.json of an earlier run's output folder")
    split_of, pairs, settings = _read(file)
    if settings.get("dataset") != _digest(found):
        raise DataError(
            f"split_file: {file} splits other images, masks or groups than were found. Give the dataset_dir of the run "
            "that wrote it, or another split_file"
        )
    return [_placed(item, split_of[item["id"]]) for item in found if item["id"] in split_of], pairs


def _read(file: Path) -> tuple[dict[str, Split], list[Pair], dict[str, Any]]:
    """Return the split by id, the near-duplicate pairs and the settings of a split file."""
    require_sound(file)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        split_of = {name: split for split in SPLIT_NAMES for name in content[split]}
        pairs: list[Pair] = [(str(a), str(b), int(distance)) for a, b, distance in content["near_duplicates"]]
        return split_of, pairs, dict(content["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file.name}: not a split that labelmine wrote ({error!r}). Delete it to split anew"
        ) from error


def _refuse_changes(file: Path, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [name for name in now if earlier.get(name) != now[name]]
    if changed:
        changes = [
            "the images, masks or groups found differ"
            if name == "dataset"
            else f"{name} was {earlier.get(name)}, is now {now[name]}"
            for name in changed
        ]
        raise DataError(
            f"{file}: this folder holds a run on another split: {'; '.join(changes)}. Use another output_dir, go back "
            f"to the earlier settings, or delete {file.name} and what was trained on it"
        )


def _placed(item: Item, split: Split) -> Item:
    placed = item.copy()
    placed["split"] = split
    if split == "unlabeled" and "label" in placed:
        placed["dropped_label"] = placed.pop("label")
    return placed


def _digest(items: Sequence[Item]) -> str:
    """Fingerprint of ids, groups, given splits and which have gold; neither order nor the folder's place counts."""
    rows = sorted([item["id"], item["group"], item.get("split", ""), "label" in item] for item in items)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
