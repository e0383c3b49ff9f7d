"""Errors that a user can cause; each says what was expected, what was got and how to mend it."""

from __future__ import annotations

import errno
import os
from pathlib import Path


class LabelmineError(ValueError):
    """Base of all errors labelmine raises on purpose."""


class ConfigError(LabelmineError):
    """A knob or an override that cannot be used."""


class DataError(LabelmineError):
    """Images, masks or splits that cannot be used."""


class WeightsError(LabelmineError):
    """A weights file that is missing, damaged, unsafe or of another model."""


class PacsError(LabelmineError):
    """A PACS that cannot be reached, that refuses, or that answers with something else."""


class StorageError(LabelmineError):
    """A file that the system will not write or read: no room, no right, no such name, a share that is gone."""

    @classmethod
    def of(cls, error: OSError, path: Path | str | None = None, wanted: int | None = None) -> StorageError:
        """Say what the system said of a file, and how to go on.

        Args:
            error: The system's.
            path: The file; None: the one that the error names.
            wanted: Bytes that were to be written.

        Example:
            >>> print(StorageError.of(OSError(28, "No space left on device"), "out/model.safetensors", 2_000))
            out/model.safetensors (2000 bytes): No space left on device. Make room there; the same command then goes on
        """
        place = path if path is not None else error.filename
        size = f" ({wanted} bytes)" if wanted is not None else ""
        name = f"{_printable(place)}{size}: " if place is not None else ""
        advice = _ADVICE.get(error.errno or 0, "Mend it, or give another place; the same command then goes on")
        return cls(f"{name}{error.strerror or error}. {advice}")


_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room there; the same command then goes on"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "Give yourself the right to write there, or give a folder of yours; the same command then goes on",
    ),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
        "A file is where a folder is wanted, or the other way round: move it away, or give another name",
    ),
    errno.ENAMETOOLONG: "The name, or its path, is too long: give a shorter one",
    **dict.fromkeys(
        (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT),
        "The disk or the network share does not answer: see to it; the same command then goes on",
    ),
}


def _printable(place: object) -> str:
    text = os.fsdecode(place) if isinstance(place, bytes | str | os.PathLike) else str(place)
    text = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


_LONGEST = 300
