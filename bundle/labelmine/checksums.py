"""The checksums that a run keeps beside its files, looked up by whoever reads one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from labelmine.errors import DataError
from labelmine.journal import Record, read_journal

CHECKSUMS_FILE = "checksums.jsonl"
MISSING = "missing"


def require_sound(*paths: Path) -> None:
    """Refuse files of an earlier run that are not as it wrote them; what no run has noted is taken as it is.

    Raises:
        DataError: Names the first one.
    """
    by_root: dict[Path, list[Path]] = {}
    for path in (path.expanduser().absolute() for path in paths):
        root = next((one for one in path.parents if (one / CHECKSUMS_FILE).is_file()), None)
        if root is not None and path.is_file():
            by_root.setdefault(root, []).append(path)
    for root, files in by_root.items():
        sums: dict[str, list[str]] = {}
        for line in checksum_lines(root):
            if "sha256" in line:
                sums.setdefault(line["file"], []).append(line["sha256"])
        for path in files:
            name = path.relative_to(root).as_posix()
            if name in sums and (fault := fault_of(path, sums[name])):
                raise DataError(
                    f"{root.name}/{name}: {fault}: it is not what the run wrote. Copy it again from where it is whole, "
                    f"or run the same command into {root.name} again, which makes again what it can"
                )


def checksum_lines(folder: Path) -> Iterator[Record]:
    """Yield what the journals of a run's folder say, that of the first rank last."""
    for path in [*sorted(folder.glob("checksums.*.jsonl")), folder / CHECKSUMS_FILE]:
        yield from read_journal(path)


def fault_of(path: Path, sums: Sequence[str]) -> str:
    """Say what is wrong with a file that had one of these checksums when it was written; empty: nothing."""
    if not path.is_file():
        return MISSING
    if path.stat().st_size == 0 and hashlib.sha256().hexdigest() not in sums:
        return "empty (0 bytes)"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if digest in sums else "damaged (its checksum is another)"
