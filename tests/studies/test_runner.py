from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from labelmine.studies import runner
from labelmine.studies.grid import Cell, Method, build_grid
from labelmine.studies.runner import BUSY, CellWork, run_cells

SUPERVISED = Method(key="supervised", title="Supervised", config="train")
MINED = Method(key="mined", title="Mined")
OTHER = Method(key="other", title="Other")


@dataclass(frozen=True)
class Job:
    folder: Path
    fails: bool
    worker: int
    seconds: float = 0.0


def work(job: Job) -> None:
    """Stand in for a run: note who came, wait, and leave a mark."""
    job.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(job.folder / "lock", timeout=0):
            if (job.folder / "done").is_file():
                return
            with (job.folder.parents[3] / "order.txt").open("a") as file:
                file.write(f"{job.folder.parts[-3]} {job.worker}\n")
            time.sleep(job.seconds)
            if job.fails:
                sys.exit(1)
            (job.folder / "done").touch()
    except Timeout:
        sys.exit(BUSY)


class Runs:
    """A study's folder with the callables that the runner takes."""

    def __init__(self, root: Path, fails: str = "", seconds: float = 0.0) -> None:
        self.root, self.fails, self.seconds = root, fails, seconds

    def job(self, cell: Cell, worker: int) -> Job:
        return Job(self.root / cell.folder, cell.method.key == self.fails, worker, self.seconds)

    def finished(self, cell: Cell) -> bool:
        return (self.root / cell.folder / "done").is_file()

    def run(self, cells: list[Cell], workers: int = 1) -> dict[Cell, str]:
        return run_cells(cells, self.work(), workers)

    def work(self) -> CellWork[Job]:
        return CellWork(
            target=work, job=self.job, finished=self.finished, error=lambda cell: f"{cell.method.key} broke"
        )

    def order(self) -> list[str]:
        return (self.root / "order.txt").read_text().splitlines()


@pytest.fixture
def cells() -> list[Cell]:
    return build_grid([MINED, OTHER], [0.1], [0], SUPERVISED)


def test_what_is_needed_runs_first_and_nothing_twice(tmp_path: Path, cells: list[Cell]) -> None:
    runs = Runs(tmp_path)
    assert runs.run(cells, workers=2) == {}
    assert next(line.split()[0] for line in runs.order()) == "supervised"
    assert {line.split()[0] for line in runs.order()[1:]} == {"mined", "other"}
    assert runs.run(cells) == {}
    assert len(runs.order()) == 3


def test_two_workers_work_at_once(tmp_path: Path, cells: list[Cell]) -> None:
    runs = Runs(tmp_path, seconds=0.5)
    runs.run(cells, workers=2)
    assert {line.split()[1] for line in runs.order()[1:]} == {"0", "1"}


def test_a_failure_stops_only_what_needs_it_and_is_tried_again(tmp_path: Path, cells: list[Cell]) -> None:
    runs = Runs(tmp_path, fails="mined")
    assert {cell.method.key: told for cell, told in runs.run(cells).items()} == {"mined": "mined broke"}
    assert all(runs.finished(cell) for cell in cells if cell.method.key != "mined")
    runs.fails = ""
    assert runs.run(cells) == {}
    assert all(map(runs.finished, cells))


def test_cells_that_need_a_failed_one_are_named(tmp_path: Path, cells: list[Cell]) -> None:
    failures = Runs(tmp_path, fails="supervised").run(cells)
    assert [failures[cell] for cell in cells] == [
        "supervised broke",
        "needs supervised, 0.1, seed 0, which failed",
        "needs supervised, 0.1, seed 0, which failed",
    ]


def test_a_cell_that_another_process_runs_is_waited_for(
    tmp_path: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.1)
    runs, first = Runs(tmp_path), tmp_path / cells[0].folder
    first.mkdir(parents=True)
    asked: list[int] = []

    def job(cell: Cell, worker: int) -> Job:
        asked.append(1)
        if len(asked) == 3:  # the other process is done
            (first / "done").touch()
            lock.release()
        return runs.job(cell, worker)

    lock = FileLock(first / "lock")
    lock.acquire()
    assert run_cells(cells, replace(runs.work(), job=job)) == {}
    assert "supervised" not in {line.split()[0] for line in runs.order()}
