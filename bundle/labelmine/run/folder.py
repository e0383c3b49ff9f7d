"""The output folder of a run: its settings, so that a resume is a resume, its lock, and the time of its stages."""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import ignite.distributed as idist
import yaml

from labelmine.atomic import write_whole
from labelmine.checksums import require_sound
from labelmine.errors import ConfigError, DataError, StorageError
from labelmine.ranks import on_first_rank, refuse_unjoined_ranks
from labelmine.run.files import CONFIG_FILE, DAMAGED_FOLDER, LOG_FILE, SECONDS_FILE, decides, made_with
from labelmine.run.lock import lock_folder, lock_if_free
from labelmine.run.record import RunRecord, log_damaged, log_shortened
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
    writes. Files that are not as they were written (see ``RunRecord``) go into ``damaged/`` when the folder is taken
    up, so that stages, which make what is not there, make them again. What labelmine says while the object lives, as
    far as its logger's level lets it, stands in ``run.log`` too, of a resumed run below what was said before.

    Args:
        folder: The workflow's ``output_dir``; made where missing.
        settings: What decides the result, see ``derive_settings``; kept in ``config.yaml`` from the first stage on that
            works on the images. Until then nothing depends on them: a mistyped folder of images or knob can thus be
            mended without being taken for another run.
        workflow: Name of the workflow, as its config is named.
        anew: Whether an earlier run of the workflow is replaced, whatever its settings, instead of taken up.
        shared: Whether others may work there at the same time, as the jobs of a study do, whose parts have locks of
            their own. Who comes while another works does not look for damage: what is being written is not there yet.

    Raises:
        ConfigError: The folder holds a run with other settings, or one of an older labelmine, or another process works
            there; nothing in it is touched.
        DataError: Its settings are damaged.
        StorageError: It cannot be made, or not be written to.
    """

    def __init__(
        self, folder: str | Path, settings: Mapping[str, Any], workflow: str, anew: bool = False, shared: bool = False
    ) -> None:
        """Take the folder up, or begin it."""
        refuse_unjoined_ranks()
        self.path = Path(folder).expanduser()
        self.settings = {"workflow": workflow, **json.loads(json.dumps(dict(settings), default=str))}
        make_folder(self.path)
        self._lock = (lock_if_free if shared else lock_folder)(self.path) if idist.get_rank() == 0 else None
        self._config, self._times = self.path / CONFIG_FILE, self.path / SECONDS_FILE
        self._record = RunRecord(self.path, idist.get_rank())
        damaged = self._record.damaged() if self._lock else {}
        self._refuse_damaged_settings(damaged.get(CONFIG_FILE))
        if anew and self._config.is_file() and read_settings(self.path)["workflow"] == workflow:
            self._forget()
        self._refuse_other_settings()
        if damaged:
            log_damaged(self.path, damaged)
            self._set_aside([*damaged, *filter(None, map(made_with, damaged))])
        if self._lock:
            log_shortened(self.path, self._record.shortened())
        idist.barrier()
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
        before, outer = self._record.sums_of(name), self._record.stage
        self._record.stage = name
        try:
            result = (on_first_rank(function) if name in FIRST_RANK_STAGES else function)()
            idist.barrier()
        finally:
            inner = sum(self.seconds.values()) - known  # of stages that began within this one
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started - inner, 1)
            self._record.stage = ""
            self._write(self._times, json.dumps(self.seconds))
            self._record.stage = outer
        if idist.get_rank() == 0:
            self._close_stage(name, before)
        return result

    def _close_stage(self, name: str, before: Mapping[str, str]) -> None:
        """Note that a stage is finished; if it was before, and came out otherwise, what was made from it goes, too."""
        now = self._record.sums_of(name)
        other = [file for file, digest in before.items() if decides(file) and now.get(file) != digest]
        if other and self._record.is_finished(name):
            logger.warning(
                "%s/%s: made again, it came out otherwise; so what was made from it is made again, too, and what there "
                "was is kept in %s/", self.path.name, other[0], DAMAGED_FOLDER,
            )  # fmt: skip
            self._set_aside(self._record.files_after(name))
        self._record.finish(name)
        self._record.measure()

    def _refuse_damaged_settings(self, fault: str | None) -> None:
        if fault:
            raise DataError(
                f"{self.path.name}/{CONFIG_FILE}: {fault}. It says with which settings all else in the folder was "
                "made. Copy it again from where it is whole, or give another --output_dir"
            )

    def _set_aside(self, names: Iterable[str]) -> None:
        for name in names:
            path, kept = self.path / name, self.path / DAMAGED_FOLDER / name
            if path.is_file():
                kept.parent.mkdir(parents=True, exist_ok=True)
                path.replace(kept)

    def _forget(self) -> None:
        if idist.get_rank() == 0:
            self._config.unlink()
            self._times.unlink(missing_ok=True)
            self._record.forget([CONFIG_FILE, SECONDS_FILE])

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


class _RunLog(logging.FileHandler):
    """A log whose folder is gone, or whose share is away, stops nobody."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record if that can be done."""
        with suppress(OSError):  # of opening the file again, which logging does for a handler that was closed
            super().emit(record)


def _begin_log(path: Path) -> logging.Handler:
    handler = _RunLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger("labelmine").addHandler(handler)
    return handler


def _end_log(handler: logging.Handler) -> None:
    logging.getLogger("labelmine").removeHandler(handler)
    handler.close()


def make_folder(path: Path) -> None:
    """Make a folder with those above it.

    Raises:
        StorageError: It cannot be made, with the reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError.of(error, path) from error
    except ValueError as error:  # a name with a NUL
        raise ConfigError(f"output_dir: expected a folder's name, got {str(path)!r} ({error})") from error


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
    require_sound(path)
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.parent.name}/{CONFIG_FILE}: damaged ({' '.join(str(error).split())})") from error
    if not isinstance(settings, dict) or "workflow" not in settings:
        raise ConfigError(
            f"{path.parent.name}/{CONFIG_FILE} was written by an older labelmine, whose settings cannot be compared "
            "with these. Give another --output_dir; the folder stays as it is"
        )
    return settings
