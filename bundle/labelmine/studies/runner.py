"""Run the cells of a study: several at a time, each in a process of its own, finished ones never again."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TypeVar

from labelmine.progress import ProgressLine
from labelmine.studies.grid import Cell

logger = logging.getLogger(__name__)
Job = TypeVar("Job")

BUSY = 75  # exit status of a cell that another process is running (EX_TEMPFAIL of sysexits.h)
POLL_SECONDS = 5.0


def run_cells(
    cells: Sequence[Cell],
    target: Callable[[Job], None],
    job: Callable[[Cell, int], Job],
    finished: Callable[[Cell], bool],
    error: Callable[[Cell], str],
    workers: int = 1,
    preload: Sequence[str] = (),
) -> dict[Cell, str]:
    """Run all cells that are not finished, each as soon as what it needs is.

    Several such calls, also on other machines that share the folder, may run one grid together: ``target`` must take a
    lock and exit with ``BUSY`` where it is taken; the cell is then looked at again later.

    Args:
        cells: Cells, those that others need first.
        target: Runs a job in a process of its own.
        job: Makes the job of a cell for a worker, counted from 0 (which decides its GPU).
        finished: Whether a cell has been run.
        error: Why a cell's process failed, in one line.
        workers: Processes at a time.
        preload: Modules that processes find imported already, where the platform can do so.

    Returns:
        Failed cells with the reason, those that wait for a failed one among them.
    """
    # A fork server imports the heavy packages once; it never touches a GPU, so its children may.
    context: BaseContext = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(list(preload))
    waiting = [cell for cell in cells if not finished(cell)]
    running: dict[int, tuple[Cell, BaseProcess]] = {}  # by worker
    failures: dict[Cell, str] = {}
    not_before: dict[Cell, float] = {}  # another process is running them
    line = ProgressLine("study", "cell", len(cells), len(cells) - len(waiting))
    try:
        while waiting or running:
            for cell in [c for c in waiting if finished(c) or _lost(c, failures)]:
                waiting.remove(cell)
                line.update()
                if not finished(cell):
                    failures[cell] = f"needs {_lost(cell, failures)}, which failed"
            for worker in sorted(set(range(workers)) - set(running)):
                now = time.monotonic()
                free = (c for c in waiting if not_before.get(c, 0.0) <= now and all(map(finished, c.needs)))
                ready = next(free, None)
                if ready is None:
                    break
                waiting.remove(ready)
                process = context.Process(  # type: ignore[attr-defined]
                    target=target, args=(job(ready, worker),), name=ready.name
                )
                process.start()
                running[worker] = (ready, process)
            line.update(0, note="; ".join(cell.name for cell, _ in running.values()))
            connection.wait([process.sentinel for _, process in running.values()], POLL_SECONDS)
            for worker, (cell, process) in list(running.items()):
                if process.exitcode is None:
                    continue
                del running[worker]
                if process.exitcode == BUSY and not finished(cell):
                    waiting.append(cell)
                    not_before[cell] = time.monotonic() + POLL_SECONDS
                    continue
                if not finished(cell):
                    failures[cell] = error(cell)
                    logger.error("%s failed: %s", cell.name, failures[cell])
                line.update()
    finally:
        for _, process in running.values():
            process.terminate()
        line.close(finished=not (waiting or running))
    return failures


def _lost(cell: Cell, failures: dict[Cell, str]) -> str:
    """Name the failed cell that this one needs, if any."""
    return next((needed.name for needed in cell.needs if needed in failures), "")
