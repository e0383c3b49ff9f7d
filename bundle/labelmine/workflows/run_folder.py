"""The output folder of a run: its settings, so that a resume is a resume, and the time of its stages."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from labelmine.errors import ConfigError

logger = logging.getLogger(__name__)
T = TypeVar("T")


class RunFolder:
    """Where a workflow writes; a later run with the same settings goes on there.

    Args:
        folder: The workflow's ``output_dir``; made where missing.
        settings: Knobs that decide the result, kept in ``config.yaml``.

    Raises:
        ConfigError: When the folder holds a run with other settings; nothing in it is touched.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        """Take the folder up, or begin it."""
        self.path = Path(folder).expanduser()
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        self.path.mkdir(parents=True, exist_ok=True)
        self._refuse_other_settings(self.path / "config.yaml")
        self._times = self.path / "seconds.json"
        self.seconds: dict[str, float] = json.loads(self._times.read_text()) if self._times.is_file() else {}

    def stage(self, name: str, function: Callable[[], T]) -> T:
        """Run one stage of the workflow and add its wall-clock seconds to those of earlier, interrupted runs."""
        logger.info("stage %s", name)
        started = time.perf_counter()
        try:
            return function()
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 1)
            draft = self._times.with_suffix(".part")
            draft.write_text(json.dumps(self.seconds))
            draft.replace(self._times)

    def _refuse_other_settings(self, path: Path) -> None:
        if not path.is_file():
            draft = path.with_suffix(".part")
            draft.write_text(yaml.safe_dump(self.settings, sort_keys=False))
            draft.replace(path)
            return
        earlier = yaml.safe_load(path.read_text()) or {}
        changed = [k for k in self.settings | earlier if self.settings.get(k) != earlier.get(k)]
        if changed:
            pairs = "; ".join(f"{k}: {earlier.get(k)!r} then, {self.settings.get(k)!r} now" for k in changed)
            raise ConfigError(
                f"{self.path.name} holds a run with other settings ({pairs}). Give another --output_dir, the same "
                "settings to go on, or delete the folder to start anew."
            )
