"""One process at a time in a folder: two runs at once would write over each other's files."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from labelmine.atomic import write_whole
from labelmine.errors import ConfigError

LOCK_FILE, HOLDER_FILE = ".lock", ".lock.json"


def lock_folder(folder: Path) -> FileLock:
    """Lock a folder until the returned lock is gone; a second time within the process is no second run.

    Raises:
        ConfigError: Another process holds it: says which, on what host, and since when.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"{folder.name}: another run works in this folder ({_holder(folder)}). Wait for it, or give another "
            "--output_dir"
        ) from error
    told = {"host": socket.gethostname(), "process": os.getpid(), "since": datetime.now().isoformat(timespec="seconds")}
    write_whole(folder / HOLDER_FILE, json.dumps(told).encode())
    return lock


def lock_if_free(folder: Path) -> FileLock | None:
    """Lock a folder as ``lock_folder`` does, if no other process holds it."""
    with suppress(ConfigError):
        return lock_folder(folder)
    return None


def _holder(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError):
        told = json.loads((folder / HOLDER_FILE).read_text(encoding="utf-8"))
        return f"process {told['process']} on {told['host']}, since {told['since']}"
    return "which process cannot be told"
