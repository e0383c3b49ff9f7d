"""The output folder of a run: its settings, so that a resume is a resume, and the time of its stages."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ignite.distributed as idist
import yaml

from labelmine.atomic import write_whole
from labelmine.errors import ConfigError
from labelmine.ranks import on_first_rank, refuse_unjoined_ranks

logger = logging.getLogger(__name__)
T = TypeVar("T")

# What several ranks cannot share, and what writes files that all of them go by.
FIRST_RANK_STAGES = frozenset({"data", "gate", "evaluate", "write"})


class RunFolder:
    """Where a workflow writes; a later run with the same settings goes on there.

    Of several ranks (see ``labelmine.ranks``) only the first writes.

    Args:
        folder: The workflow's ``output_dir``; made where missing.
        settings: Knobs that decide the result, kept in ``config.yaml`` once the first stage has succeeded: a mistyped
            folder of images can thus be mended without being taken for another run.

    Raises:
        ConfigError: When the folder holds a run with other settings; nothing in it is touched.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        """Take the folder up, or begin it."""
        self.path = Path(folder).expanduser()
        self.settings = json.loads(json.dumps(dict(settings), default=str))
        self.path.mkdir(parents=True, exist_ok=True)
        self._config = self.path / "config.yaml"
        self._refuse_other_settings()
        self._times = self.path / "seconds.json"
        self.seconds: dict[str, float] = json.loads(self._times.read_text()) if self._times.is_file() else {}

    def stage(self, name: str, function: Callable[[], T]) -> T:
        """Run one stage of the workflow and add its wall-clock seconds to those of earlier, interrupted runs.

        All ranks run it together; ``data``, ``gate``, ``evaluate`` and ``write`` run on the first rank alone, and every
        rank gets their result. No rank leaves a stage before all its files are written.
        """
        refuse_unjoined_ranks()
        logger.info("stage %s", name)
        started = time.perf_counter()
        try:
            result = (on_first_rank(function) if name in FIRST_RANK_STAGES else function)()
            idist.barrier()
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 1)
            self._write(self._times, json.dumps(self.seconds))
        if not self._config.is_file():
            self._write(self._config, yaml.safe_dump(self.settings, sort_keys=False))
        return result

    def _write(self, path: Path, text: str) -> None:
        if idist.get_rank() == 0:
            write_whole(path, text.encode())

    def _refuse_other_settings(self) -> None:
        if not self._config.is_file():
            return
        earlier = yaml.safe_load(self._config.read_text()) or {}
        changed = [k for k in self.settings | earlier if self.settings.get(k) != earlier.get(k)]
        if changed:
            pairs = "; ".join(f"{k}: {earlier.get(k)!r} then, {self.settings.get(k)!r} now" for k in changed)
            raise ConfigError(
                f"{self.path.name} holds a run with other settings ({pairs}). Give another --output_dir, the same "
                "settings to go on, or delete the folder to start anew."
            )
