"""The learning curve as data: one row per epoch, for reports and studies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
from ignite.engine import Engine, Events

from labelmine.atomic import write_whole


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of a ``history.csv``; none where there is no file."""
    return pd.read_csv(path).to_dict("records") if path.is_file() else []  # type: ignore[return-value]  # keys are text


class History:
    """Collect steps, training loss, validation metrics, learning rate and seconds per epoch; write ``history.csv``.

    Attach to the trainer after the handler that validates. The loss is the mean over ranks; the first rank writes.

    Args:
        path: CSV file, written anew after each epoch.
        evaluator: Its ``state.metrics`` are the validation columns.
        optimizer: Its first group's learning rate is a column.
    """

    def __init__(self, path: str | Path, evaluator: Engine, optimizer: Any) -> None:
        """Start without rows."""
        self.path = Path(path)
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.rows: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Collect from the trainer ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Add the finished epoch's row."""
        loss = idist.all_reduce(sum(self._losses) / max(len(self._losses), 1)) / idist.get_world_size()
        row = {
            "epoch": engine.state.epoch,
            "step": engine.state.iteration,
            "train_loss": loss,
            **{name: float(value) for name, value in self.evaluator.state.metrics.items()},
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": time.perf_counter() - self._started,
        }
        self.rows.append(row)
        self._write()

    def state_dict(self) -> dict[str, list[dict[str, float]]]:
        """Return what a resume needs."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, list[dict[str, float]]]) -> None:
        """Take up the rows of an earlier run, and write them where its file is gone."""
        self.rows = list(state["rows"])
        if self.rows and not self.path.is_file():
            self._write()

    def _write(self) -> None:
        if idist.get_rank() == 0:
            write_whole(self.path, pd.DataFrame(self.rows).to_csv(index=False).encode())

    def _begin(self, engine: Engine) -> None:
        self._losses = []
        self._started = time.perf_counter()

    def _collect(self, engine: Engine) -> None:
        output = engine.state.output
        self._losses.append((output[0] if isinstance(output, list) else output)["loss"].item())  # a list: decollated
