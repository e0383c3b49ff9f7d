"""The folder of an export: it holds what the other program takes and ``export.json``, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelmine.atomic import write_whole
from labelmine.data.writable import require_writable
from labelmine.errors import ConfigError
from labelmine.run.files import EXPORT_FILE
from labelmine.run.lock import lock_folder

#: Where an export grows; one that was killed leaves it behind, and the next begins anew there.
DRAFT = ".exporting"
#: In it: names that are about to take their place.
MOVED = "moved.json"


class ExportFolder:
    """Collects an export in a hidden folder inside its own, then puts it in place.

    No ``RunFolder``: settings, seconds and lock name paths and machines, and are not for those who get the export.

    Args:
        folder: The workflow's ``output_dir``; made where missing.
        form: Name of the form.

    Raises:
        ConfigError: The folder holds anything but an earlier export in this form.
        DataError: The folder cannot be written to.
    """

    def __init__(self, folder: str | Path, form: str) -> None:
        """Look at what is there."""
        self.path = Path(folder).expanduser()
        self.form = form
        self.draft = self.path / DRAFT
        self._refuse_others()
        require_writable(self.draft)
        self._lock = lock_folder(self.draft)
        self.content = self.draft / "content"
        shutil.rmtree(self.content, ignore_errors=True)
        self.content.mkdir()

    def put_in_place(self, record: Mapping[str, Any]) -> None:
        """Replace an earlier export by what was collected; ``export.json`` comes last.

        Args:
            record: For ``export.json``; names of what was written are added, so that a later export can replace it.

        Raises:
            ConfigError: A file that is no export's is in the way.
        """
        names, own = sorted(path.name for path in self.content.iterdir()), self._own()
        in_the_way = [name for name in names if name not in own and (self.path / name).exists()]
        if in_the_way:
            raise ConfigError(f"output_dir: {self.path.name}/{in_the_way[0]} is no export's; give a new folder")
        write_whole(self.draft / MOVED, json.dumps(sorted({*names, *own})).encode())
        for name in (EXPORT_FILE, *own):
            _remove(self.path / name)
        for name in names:
            os.replace(self.content / name, self.path / name)
        told = {"form": self.form, **record, "files": names}
        write_whole(self.path / EXPORT_FILE, json.dumps(told, indent=1, ensure_ascii=False).encode())
        self._lock.release()
        shutil.rmtree(self.draft)

    def _refuse_others(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"output_dir: {self.path.name} is a file; give a folder")
        others = sorted({path.name for path in self.path.iterdir()} - {DRAFT}) if self.path.is_dir() else []
        if others and not self._own():
            form = _read(self.path / EXPORT_FILE, {}).get("form")
            what = f"an export in the form {form}" if form else f"other files ({', '.join(others[:3])})"
            raise ConfigError(f"output_dir: {self.path.name} holds {what}; give a new folder, or empty this one")

    def _own(self) -> set[str]:
        """Names in the folder that an export in this form wrote, or was writing when it was killed."""
        earlier = _read(self.path / EXPORT_FILE, {})
        written = earlier.get("files", []) if earlier.get("form") == self.form else []
        return {*written, *_read(self.draft / MOVED, [])}


def _read(path: Path, default: Any) -> Any:
    """Content of a JSON file; the default where there is none, or one of another kind."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default
    except ValueError:
        return default
    return content if isinstance(content, type(default)) else default


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
