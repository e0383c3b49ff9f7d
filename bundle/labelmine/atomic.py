"""Writing a file whole or not at all: a reader never meets half a report, and a killed run leaves the old one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from labelmine.errors import StorageError

#: What wants to know of each file before it takes its place, by folder; see ``tell_of_writes``.
_TOLD: dict[Path, Callable[[Path, bytes | None], None]] = {}


def tell_of_writes(folder: Path, tell: Callable[[Path, bytes | None], None]) -> None:
    """Call a function with path and content of each file that is to be written whole below a folder, from now on.

    Of one that is to be removed the content is None, of a journal (``labelmine.journal``) it is the line that is added.

    Of folders within one another the inner one is told.
    """
    _TOLD[folder.absolute()] = tell


def write_whole(path: Path, data: bytes, *, durable: bool = True, told: bool = True) -> None:
    """Write beside the target first, then take its place; missing folders are made.

    Args:
        path: The file.
        data: Its content.
        durable: Whether it survives a power cut. A flush takes milliseconds, so what comes in thousands and can be made
            again (masks, pictures) goes without; a run's checksums then tell what is lost.
        told: Whether it is told of, see ``tell_of_writes``; files that others may change are not.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's own 0600 would hide a shared result from colleagues
            if told:
                tell(path, data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        if durable:
            _flush_folder(path.parent)
    except OSError as error:
        raise StorageError.of(error, path, len(data)) from error


def remove(path: Path) -> None:
    """Remove a file that is no longer wanted, if it is there; nobody is to miss it."""
    if path.is_file():
        tell(path, None)
        path.unlink(missing_ok=True)


def tell(path: Path, data: bytes | None) -> None:
    """Tell who wants to know of writes below a folder, see ``tell_of_writes``."""
    absolute = path.absolute()
    nearest = next((folder for folder in absolute.parents if folder in _TOLD), None)
    if nearest is not None:
        _TOLD[nearest](absolute, data)


def _flush_folder(folder: Path) -> None:
    """Put a file's name on the disk, too; not all systems can, and none loses the old file by it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
