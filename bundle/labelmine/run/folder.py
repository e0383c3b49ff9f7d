"""The output folder of a run: its settings, so that a resume is a resume, its lock, and the time of its stages."""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ignite.distributed as idist
import yaml

from labelmine.atomic import write_whole
from labelmine.errors import ConfigError
from labelmine.ranks import on_first_rank, refuse_unjoined_ranks
from labelmine.run.files import CONFIG_FILE, LOG_FILE, SECONDS_FILE
from labelmine.run.lock import lock_folder
from labelmine.run.settings import changes

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: The stage that finds and checks images.
DATA_STAGE = "data"
#: What several ranks cannot share, and what writes files that all of them go by.
FIRST_RANK_STAGES = frozenset({DATA_STAGE, "fit", "gate", "evaluate", "write", "fetch", "store"})
#: Changes that a refusal names; of another workflow nearly all differ.
NAMED = 8
#: Characters of a value that a refusal shows.
LONGEST = 80
#: Lines of the log file.
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RunFolder:
    """Where a workflow writes; a later run with the same settings goes on there.

    It is locked as long as the process lives. Of several ranks (see ``labelmine.ranks``) only the first locks and
    writes. What labelmine says while the object lives stands in ``run.log`` too, of a resumed run below what was said
    before.

    Args:
        folder: The workflow's ``output_dir``; made where missing.
        settings: What decides the result, see ``derive_settings``; kept in ``config.yaml`` from the first stage on that
            works on the images. Until then nothing depends on them: a mistyped folder of images or knob can thus be
            mended without being taken for another run.
        workflow: Name of the workflow, as its config is named.
        anew: Whether an earlier run of the workflow is replaced, whatever its settings, instead of taken up.

    Raises:
        ConfigError: The folder holds a run with other settings, or one of an older labelmine, or another process works
            there; nothing in it is touched.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any], workflow: str, anew: bool = False) -> None:
        """Take the folder up, or begin it."""
        refuse_unjoined_ranks()
        self.path = Path(folder).expanduser()
        self.settings = {"workflow": workflow, **json.loads(json.dumps(dict(settings), default=str))}
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(self.path) if idist.get_rank() == 0 else None
        self._config, self._times = self.path / CONFIG_FILE, self.path / SECONDS_FILE
        if anew and self._config.is_file() and read_settings(self.path)["workflow"] == workflow:
            self._forget()
        self._refuse_other_settings()
        self.seconds: dict[str, float] = json.loads(self._times.read_text()) if self._times.is_file() else {}
        if idist.get_rank() == 0:
            weakref.finalize(self, _end_log, _begin_log(self.path / LOG_FILE))

    def depends_on(self, **facts: str | None) -> None:
        """Add what else decides the result, for example the hash of the student that is asked.

        Raises:
            ConfigError: The folder holds a run that depended on others.
        """
        self.settings |= facts
        self._refuse_other_settings()

    def stage(self, name: str, function: Callable[[], T]) -> T:
        """Run one stage of the workflow and add its wall-clock seconds to those of earlier, interrupted runs.

        All ranks run it together; ``data``, ``fit``, ``gate``, ``evaluate``, ``write``, ``fetch`` and ``store`` run on
        the first rank alone, and every rank gets their result. No rank leaves a stage before all its files are written.
        """
        logger.info("stage %s", name)
        if name != DATA_STAGE and not self._config.is_file():
            self._write(self._config, yaml.safe_dump(self.settings, sort_keys=False, allow_unicode=True))
        started, known = time.perf_counter(), sum(self.seconds.values())
        try:
            result = (on_first_rank(function) if name in FIRST_RANK_STAGES else function)()
            idist.barrier()
        finally:
            inner = sum(self.seconds.values()) - known  # of stages that began within this one
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started - inner, 1)
            self._write(self._times, json.dumps(self.seconds))
        return result

    def _forget(self) -> None:
        if idist.get_rank() == 0:
            self._config.unlink()
            self._times.unlink(missing_ok=True)

    def _write(self, path: Path, text: str) -> None:
        if idist.get_rank() == 0:
            write_whole(path, text.encode())

    def _refuse_other_settings(self) -> None:
        if not self._config.is_file():
            return
        name, now = self.path.name, self.settings
        earlier = read_settings(self.path)
        if earlier["workflow"] != now["workflow"]:
            raise ConfigError(
                f"{name} holds a run of {earlier['workflow']}.yaml, this is {now['workflow']}.yaml. Give another "
                "--output_dir"
            )
        # What a stage adds later (see ``depends_on``) is compared when it is known.
        known = {key: value for key, value in earlier.items() if key in now or not key.endswith("_sha256")}
        found = list(changes(known, now))
        if found:
            named = [f"{key}: {_short(before)} then, {_short(after)} now" for key, before, after in found[:NAMED]]
            pairs = "; ".join(named)
            more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
            raise ConfigError(
                f"{name} holds a run with other settings ({pairs}{more}). Give another --output_dir, the same settings "
                "to go on, or delete the folder to start anew."
            )


def _begin_log(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    ours = logging.getLogger("labelmine")
    ours.addHandler(handler)
    if not ours.isEnabledFor(logging.INFO):
        ours.setLevel(logging.INFO)
    return handler


def _end_log(handler: logging.Handler) -> None:
    logging.getLogger("labelmine").removeHandler(handler)
    handler.close()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Return the settings that a run wrote into its folder.

    Raises:
        ConfigError: No ``config.yaml`` there, or one that an older labelmine wrote.
    """
    path = Path(folder).expanduser() / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(f"{path.parent.name}: expected the output folder of a run, found no {CONFIG_FILE} in it")
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(settings, dict) or "workflow" not in settings:
        raise ConfigError(
            f"{path.parent.name}/{CONFIG_FILE} was written by an older labelmine, whose settings cannot be compared "
            "with these. Give another --output_dir; the folder stays as it is"
        )
    return settings
