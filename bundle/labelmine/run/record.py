"""What a run wrote, by its SHA-256: a damaged file is known before it is used, in the run itself and by later ones."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelmine.atomic import tell_of_writes
from labelmine.checksums import CHECKSUMS_FILE, MISSING, checksum_lines, fault_of
from labelmine.journal import Journal
from labelmine.run.files import DAMAGED_FOLDER

logger = logging.getLogger(__name__)

NAMED = 10  # damaged files that the log names


@dataclass
class _Sums:
    """All that a journal says of a file: contents that it had, the last one last, and the stage that wrote it first."""

    sums: list[str] = field(default_factory=list)
    stage: str = ""


class RunRecord:
    """The checksums of a run's folder (``checksums.jsonl``).

    A line is written before its file takes its place, so that a kill between the two leaves a file of an earlier line:
    whole, and good. Journals check themselves, line by line; of them it is noted how long they were when a stage ended,
    as one that has lost lines at its end looks whole. A line without a file says that a stage was finished.

    Args:
        folder: The run's.
        rank: Each rank has a journal of its own.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        """Read what is known, and take note of what is written from now on."""
        self.folder = folder.absolute()
        self.stage = ""
        self._journal = Journal(self.folder / (CHECKSUMS_FILE if rank == 0 else f"checksums.{rank}.jsonl"))
        self._files: dict[str, _Sums] = {}
        self._finished: dict[str, None] = {}
        self._lengths: dict[str, int] = {}
        for line in checksum_lines(self.folder):
            self._take(line)
        tell_of_writes(self.folder, self._note)

    def damaged(self) -> dict[str, str]:
        """Return what is wrong with files, by their names below the folder."""
        found = {name: fault_of(self.folder / name, known.sums) for name, known in self._files.items()}
        return {name: fault for name, fault in found.items() if fault}

    def shortened(self) -> dict[str, str]:
        """Return what is wrong with journals that have lost lines at their end, by their names below the folder."""
        now = {name: self._length(name) for name in self._lengths}
        return {
            name: MISSING if now[name] is None else f"{now[name]} bytes long, and was {length}"
            for name, length in self._lengths.items()
            if (now[name] or 0) < length
        }

    def measure(self) -> None:
        """Note how long journals are, of those that are gone that they are."""
        for name, length in list(self._lengths.items()):
            if (now := self._length(name)) != length:
                self._take(self._journal.append({"journal": name, "bytes": now}))

    def sums_of(self, stage: str) -> dict[str, str]:
        """Return the last checksum of each file that a stage wrote."""
        return {name: known.sums[-1] for name, known in self._files.items() if known.stage == stage}

    def is_finished(self, stage: str) -> bool:
        """Whether a stage came to its end."""
        return stage in self._finished

    def finish(self, stage: str) -> None:
        """Note that a stage came to its end."""
        if stage not in self._finished:
            self._take(self._journal.append({"stage": stage}))

    def files_after(self, stage: str) -> list[str]:
        """Forget that later stages came to their end; return what they wrote."""
        order = list(self._finished)
        later = order[order.index(stage) + 1 :] if stage in order else []
        for name in later:
            self._take(self._journal.append({"stage": name, "again": True}))
        return [name for name, known in self._files.items() if known.stage in later]

    def forget(self, names: Iterable[str]) -> None:
        """Let go of files: they are no longer the run's."""
        for name in list(names):
            self._take(self._journal.append({"file": name}))

    def _note(self, path: Path, content: bytes | None) -> None:
        name = path.relative_to(self.folder).as_posix()
        if path.suffix == ".jsonl":
            if not path.name.startswith("checksums."):
                self._lengths.setdefault(name, 0)
            return
        if content is None:
            self.forget([name] if name in self._files else [])
            return
        digest = hashlib.sha256(content).hexdigest()
        known = self._files.get(name)
        if known is None or known.sums[-1] != digest:
            self._take(self._journal.append({"file": name, "sha256": digest, "stage": self.stage}))

    def _take(self, line: Mapping[str, Any]) -> None:
        name, stage = str(line.get("file", "")), str(line.get("stage", ""))
        if (journal := str(line.get("journal", ""))) and line["bytes"] is None:
            self._lengths.pop(journal, None)
        elif journal:
            self._lengths[journal] = int(line["bytes"])
        elif name and "sha256" in line:
            known = self._files.setdefault(name, _Sums(stage=stage))
            known.sums.append(str(line["sha256"]))
        elif name:
            self._files.pop(name, None)
        elif line.get("again"):
            self._finished.pop(stage, None)
        else:
            self._finished[stage] = None

    def _length(self, name: str) -> int | None:
        path = self.folder / name
        return path.stat().st_size if path.is_file() else None


def log_shortened(folder: Path, shortened: Mapping[str, str]) -> None:
    """Name journals that have lost lines."""
    for name, fault in shortened.items():
        logger.warning("%s/%s: %s; what its lost lines said is done again", folder.name, name, fault)


def log_damaged(folder: Path, damaged: dict[str, str]) -> None:
    """Name damaged files."""
    for name, fault in list(damaged.items())[:NAMED]:
        kept = "" if fault == MISSING else f"; what there is goes into {DAMAGED_FOLDER}/"
        logger.warning("%s/%s: %s; it is made again%s", folder.name, name, fault, kept)
    if len(damaged) > NAMED:
        logger.warning("%s: %d more files are made again for such reasons", folder.name, len(damaged) - NAMED)
