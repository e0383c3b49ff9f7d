"""What cannot be used, or is not used: named, with the reason, in the log and in ``quarantine.csv``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelmine.data.findings import EXAMPLES
from labelmine.data.items import Item

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SetAside:
    """A file that cannot be used, or files of one kind that are not, and why; one row of ``quarantine.csv``.

    Attributes:
        id: Id of the item; empty for what belongs to no image: other formats, other folders, columns of a table.
        path: The file, relative to the image set where it lies inside, or what all of the files share.
        reason: What is wrong and how to mend it.
    """

    id: str
    path: str
    reason: str


def count_set_aside(rows: Iterable[SetAside]) -> int:
    """Count images and masks that were set aside; what belongs to no image is no loss."""
    return sum(bool(row.id) for row in rows)


def log_set_aside(rows: Sequence[SetAside], limit: int = 10) -> None:
    """Name the first files that were set aside, and the first kinds that are not used; count the rest."""
    for what, chosen in (("set aside", [row for row in rows if row.id]), ("not used", [r for r in rows if not r.id])):
        for row in chosen[:limit]:
            place = f"{row.id} ({row.path})" if row.id else row.path
            logger.warning("%s: %s: %s", what, place, row.reason)
        if len(chosen) > limit:
            logger.warning("%s: %d more, all listed in quarantine.csv", what, len(chosen) - limit)


@dataclass(frozen=True)
class Reason:
    """Why files were set aside, or are not used: the same for all of them but for names and numbers.

    Attributes:
        text: The reason that the first of them has.
        count: Rows that have it.
        examples: Paths of the first of them.
        is_loss: Whether images or masks are lost; else the files belong to no image.
    """

    text: str
    count: int
    examples: tuple[str, ...]
    is_loss: bool


def reasons_of(rows: Iterable[SetAside]) -> list[Reason]:
    """Group rows by reason: losses first, then the most frequent. What belongs to no image is grouped already.

    Example:
        >>> rows = [SetAside(name, f"{name}.png", f"{name}.png: 0 bytes; copy it again") for name in ("a", "b")]
        >>> reasons_of(rows)
        [Reason(text='a.png: 0 bytes; copy it again', count=2, examples=('a.png', 'b.png'), is_loss=True)]
    """
    groups: dict[tuple[bool, str], list[SetAside]] = {}
    for row in rows:
        if not row.id:
            groups.setdefault((True, f"{row.path}: {row.reason}"), []).append(row)
            continue
        groups.setdefault((False, _without_names(row)), []).append(row)
    ordered = sorted(groups.items(), key=lambda entry: (entry[0][0], -len(entry[1])))
    return [
        Reason(members[0].reason, len(members), tuple(row.path for row in members[:EXAMPLES]), not unused)
        for (unused, _), members in ordered
    ]


def _without_names(row: SetAside) -> str:
    names = "|".join(re.escape(name) for name in (Path(row.path).name, Path(row.path).stem, row.id) if name)
    return re.sub(rf"(?<!\w)(?:{names})(?!\w)|\S*\d\S*", "#", row.reason)


def printable(name: str) -> str:
    r"""Show the bytes of a name that are no UTF-8 as ``\udce9``, so that it can be logged and written."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def relative_name(path: Path, root: Path) -> str:
    """Path below ``root``, else the bare file name, so that no user's folder is written anywhere."""
    return printable(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name)


def keep_first(items: Iterable[Item], set_aside: list[SetAside], root: Path) -> list[Item]:
    """Drop items whose id came before, and say so in ``set_aside``."""
    kept: dict[str, Item] = {}
    for item in items:
        first = kept.setdefault(item["id"], item)
        if first is not item:
            name = relative_name(Path(first["image"]), root)
            reason = f"doubled id: {name} already has it; rename or remove one of them"
            set_aside.append(SetAside(printable(item["id"]), relative_name(Path(item["image"]), root), reason))
    return list(kept.values())
