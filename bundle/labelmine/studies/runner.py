"""Run the cells of a study: several at a time, each in a process of its own, finished ones never again."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from labelmine.progress import ProgressLine
from labelmine.studies.grid import Cell

logger = logging.getLogger(__name__)
Job = TypeVar("Job")

BUSY = 75  # exit status of a cell that another process is running (EX_TEMPFAIL of sysexits.h)
POLL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class CellWork(Generic[Job]):
    """How cells are run.

    Attributes:
        target: Runs a job in a process of its own.
        job: Makes the job of a cell for a worker, counted from 0 (which decides its GPU).
        finished: Whether a cell has been run.
        error: Why a cell's process failed, in one line.
        preload: Modules that processes find imported already, where the platform can do so.
    """

    target: Callable[[Job], None]
    job: Callable[[Cell, int], Job]
    finished: Callable[[Cell], bool]
    error: Callable[[Cell], str]
    preload: Sequence[str] = ()


def run_cells(cells: Sequence[Cell], work: CellWork[Any], workers: int = 1) -> dict[Cell, str]:
    """Run all cells that are not finished, each as soon as what it needs is.

    Several such calls, also on other machines that share the folder, may run one grid together: ``work.target`` must
    take a lock and exit with ``BUSY`` where it is taken; the cell is then looked at again later.

    Args:
        cells: Cells, those that others need first.
        work: How.
        workers: Processes at a time.

    Returns:
        Failed cells with the reason, those that wait for a failed one among them.
    """
    with _Schedule(cells, work, workers) as schedule:
        while schedule.waiting or schedule.running:
            schedule.drop_done()
            schedule.start_ready()
            schedule.wait()
            schedule.collect()
    return schedule.failures


class _Schedule:
    """Which cells wait, run, and have failed."""

    def __init__(self, cells: Sequence[Cell], work: CellWork[Any], workers: int) -> None:
        # A fork server imports the heavy packages once; it never touches a GPU, so its children may.
        self.context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self.context.set_forkserver_preload(list(work.preload))
        self.work = work
        self.workers = workers
        self.waiting = [cell for cell in cells if not work.finished(cell)]
        self.running: dict[int, tuple[Cell, BaseProcess]] = {}  # by worker
        self.failures: dict[Cell, str] = {}
        self.not_before: dict[Cell, float] = {}  # another process is running them
        self.line = ProgressLine("study", "cell", len(cells), len(cells) - len(self.waiting))

    def __enter__(self) -> _Schedule:
        return self

    def __exit__(self, *_: object) -> None:
        for _, process in self.running.values():
            process.terminate()
        self.line.close(finished=not (self.waiting or self.running))

    def drop_done(self) -> None:
        """Take out what others have run meanwhile, and what can no longer be run."""
        done = [cell for cell in self.waiting if self.work.finished(cell) or _lost(cell, self.failures)]
        for cell in done:
            self.waiting.remove(cell)
            self.line.update()
            if not self.work.finished(cell):
                self.failures[cell] = f"needs {_lost(cell, self.failures)}, which failed"

    def start_ready(self) -> None:
        """Give free workers the first cells whose needs are met."""
        for worker in sorted(set(range(self.workers)) - set(self.running)):
            now, finished = time.monotonic(), self.work.finished
            free = (c for c in self.waiting if self.not_before.get(c, 0.0) <= now and all(map(finished, c.needs)))
            ready = next(free, None)
            if ready is None:
                return
            self.waiting.remove(ready)
            job = self.work.job(ready, worker)
            process = self.context.Process(target=self.work.target, args=(job,), name=ready.name)
            process.start()
            self.running[worker] = (ready, process)

    def wait(self) -> None:
        """Wait for a process to end, or a few seconds."""
        self.line.update(0, note="; ".join(cell.name for cell, _ in self.running.values()))
        connection.wait([process.sentinel for _, process in self.running.values()], POLL_SECONDS)

    def collect(self) -> None:
        """See what became of the processes that have ended."""
        for worker, (cell, process) in list(self.running.items()):
            if process.exitcode is None:
                continue
            del self.running[worker]
            if process.exitcode == BUSY and not self.work.finished(cell):
                self.waiting.append(cell)
                self.not_before[cell] = time.monotonic() + POLL_SECONDS
                continue
            if not self.work.finished(cell):
                self.failures[cell] = self.work.error(cell)
                logger.error("%s failed: %s", cell.name, self.failures[cell])
            self.line.update()


def _lost(cell: Cell, failures: dict[Cell, str]) -> str:
    """Name the failed cell that this one needs, if any."""
    return next((needed.name for needed in cell.needs if needed in failures), "")
