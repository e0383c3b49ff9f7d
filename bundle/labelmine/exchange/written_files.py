"""Files handed to other programs: whatever was changed there is theirs, and is never written over."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from labelmine.atomic import write_whole
from labelmine.errors import DataError

logger = logging.getLogger(__name__)

RECORD_NAME = "written.json"


class WrittenFiles:
    """A folder of files of ours, with the hashes of all that was ever written into it (``written.json``).

    Args:
        folder: The folder; made by the first ``put``.

    Raises:
        DataError: A damaged record.
    """

    def __init__(self, folder: str | Path) -> None:
        """Take up what is known of the folder."""
        self.folder = Path(folder)
        self._path = self.folder / RECORD_NAME
        self._put: set[str] = set()
        try:
            self._hashes: dict[str, list[str]] = json.loads(self._path.read_text()) if self._path.is_file() else {}
        except ValueError as error:
            raise DataError(f"{self._path}: damaged ({error}). Move your corrections away and delete it") from error

    def untouched(self, path: Path) -> bool:
        """Whether a file is still as it was written here."""
        known = self._hashes.get(path.relative_to(self.folder).as_posix(), [])
        return path.is_file() and _sha256(path.read_bytes()) in known

    def put(self, name: str, content: bytes) -> None:
        """Write a file, unless it was changed since."""
        self._put.add(name)
        path = self.folder / name
        if path.is_file() and not self.untouched(path):
            if path.read_bytes() != content:
                logger.info("%s was changed since it was written: left as it is", name)
            return
        if _sha256(content) not in self._hashes.get(name, []):
            # The hash comes first: a file that is there without it would be taken for someone's work.
            self._hashes.setdefault(name, []).append(_sha256(content))
            self._save()
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content, told=False)  # whoever works there may change it

    def drop_others(self) -> None:
        """Remove what earlier runs wrote, this one did not, and nobody changed."""
        for name in sorted(self._hashes.keys() - self._put):
            path = self.folder / name
            if path.is_file() and not self.untouched(path):
                continue
            path.unlink(missing_ok=True)
            del self._hashes[name]
        if self._hashes:
            self._save()

    def _save(self) -> None:
        write_whole(self._path, json.dumps(self._hashes, indent=1, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
