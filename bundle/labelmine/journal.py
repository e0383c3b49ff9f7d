"""A file that only grows, a line per record, each with a check: a torn or damaged line is known, and passed over."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from labelmine.atomic import tell

logger = logging.getLogger(__name__)

Record = dict[str, Any]
_CHECK = b', "check": "'


class Journal:
    """Lines of JSON, the last key of each the CRC-32 of all before it.

    A line that a kill tore is cut off when the file is opened to write; what another process is still writing is not
    read yet.

    Args:
        path: The file; begun with the first record.
        durable: Whether a record is on the disk, whatever happens to the machine, when ``append`` returns.
        plain: Makes JSON of what JSON does not know.
    """

    def __init__(self, path: str | Path, durable: bool = False, plain: Callable[[Any], Any] | None = None) -> None:
        """Read nothing yet."""
        self.path = Path(path)
        self.durable = durable
        self._plain = plain
        self._cut_torn_line()

    def append(self, record: Mapping[str, Any]) -> Record:
        """Add a record; return it as it will be read."""
        body = json.dumps(dict(record), default=self._plain)
        line = sealed(body)
        tell(self.path, line)
        with self.path.open("ab") as file:
            file.write(line)
            file.flush()
            if self.durable:
                os.fsync(file.fileno())
        return dict(json.loads(body))

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def _cut_torn_line(self) -> None:
        content = self.path.read_bytes() if self.path.is_file() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: last line is incomplete, and what it said is done again", self.path.name)
            os.truncate(self.path, whole)


def sealed(body: str) -> bytes:
    r"""Return the line of a record.

    Example:
        >>> sealed('{"id": "a"}')
        b'{"id": "a", "check": "af678071"}\n'
    """
    content = body.encode()
    return content[:-1] + _CHECK + f'{zlib.crc32(content):08x}"}}\n'.encode()


def read_journal(path: Path) -> Iterator[Record]:
    """Yield the records of a journal; damaged lines are counted in the log, a last one without end is passed over."""
    content = path.read_bytes() if path.is_file() else b""
    damaged = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        body, _, check = line.rpartition(_CHECK)
        body += b"}"
        if check == f'{zlib.crc32(body):08x}"}}'.encode():
            yield json.loads(body)
        else:
            damaged.append(number)
    if damaged:
        lines = ", ".join(map(str, damaged[:5])) + (" ..." if len(damaged) > 5 else "")
        logger.warning(
            "%s: %d damaged lines (%s) are passed over; what they said is done again", path.name, len(damaged), lines
        )
