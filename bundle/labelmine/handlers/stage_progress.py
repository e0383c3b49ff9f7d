"""Progress of a training or an inference, told once for all its epochs."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from labelmine.progress import ProgressLine, duration, on_terminal, time_left

logger = logging.getLogger(__name__)


class StageProgress:
    """Show one line for a whole stage, with loss, metrics and time left; where output is no terminal, log each epoch.

    A stage that is resumed begins where it stood; one that stops early ends full. An engine that runs for one epoch, as
    evaluators do, is told as any other loop, see ``ProgressLine``. Only the first rank tells, of its own loss.

    Attach after all that changes metrics or stops the engine. ignite asks handlers of ``EXCEPTION_RAISED`` in turn, and
    this one raises the error again: one that is to see it as well is attached before, and gives it to ``close`` first.

    Args:
        stage: Name of the stage.
        metrics: Names of those in ``evaluator.state.metrics`` that are told once they are there.
        evaluator: Who measures them; None: the engine itself.
    """

    def __init__(self, stage: str, metrics: Sequence[str] = (), evaluator: Engine | None = None) -> None:
        """Show nothing before the first epoch."""
        self.stage = stage
        self.metrics = tuple(metrics)
        self.evaluator = evaluator
        self._line: ProgressLine | None = None
        self._losses: list[float] = []
        self._running = False
        self._first = 0  # iterations that an earlier run has done
        self._total: int | None = None
        self._started = self._epoch_started = 0.0

    def attach(self, engine: Engine) -> None:
        """Tell of ``engine``'s iterations and epochs."""
        if idist.get_rank() > 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        engine.add_event_handler(Events.TERMINATE | Events.COMPLETED, self._finish)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def __call__(self, engine: Engine) -> None:
        """Count an iteration."""
        loss = _loss_of(engine.state.output)
        if loss is not None:
            self._losses.append(loss)
        if self._line is not None:
            self._line.update(note=self._note(engine))

    def close(self, *_: Any) -> None:
        """End the line as it is; arguments, as ignite hands them to handlers, are ignored."""
        if self._line is not None:
            self._line.close(finished=False)
        self._line, self._running = None, False

    def _begin_epoch(self, engine: Engine) -> None:
        self._epoch_started = time.monotonic()
        self._losses = []
        if self._running:
            return
        self._running = True
        self._first, self._total = engine.state.iteration, _iterations(engine)
        self._started = self._epoch_started
        if engine.state.max_epochs == 1 or on_terminal():
            self._line = ProgressLine(self.stage, "batch", self._total, self._first)

    def _end_epoch(self, engine: Engine) -> None:
        if self._line is not None:
            self._line.update(0, self._note(engine))
            return
        done, now = engine.state.iteration, time.monotonic()
        told = [self._note(engine), duration(now - self._epoch_started)]
        if self._total is not None and done < self._total:
            left = duration(time_left(now - self._started, done, self._total, self._first))
            told.append("stopped early" if engine.should_terminate else f"{left} left")
        logger.info("%s: %s", self.stage, ", ".join(told))

    def _finish(self, engine: Engine) -> None:
        if self._line is not None:
            self._line.close()
        self.close()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self.close()
        raise error

    def _note(self, engine: Engine) -> str:
        """Return epoch, mean loss of the epoch so far, and metrics."""
        epoch, epochs = engine.state.epoch, engine.state.max_epochs
        told = [] if epochs == 1 else [f"epoch {epoch}" if epochs is None else f"epoch {epoch}/{epochs}"]
        if self._losses:
            loss = sum(self._losses) / len(self._losses)
            told.append(f"loss {loss:.3f}" if abs(loss) >= 0.1 else f"loss {loss:.3g}")  # a generator's is small
        measured: Mapping[str, Any] = (self.evaluator or engine).state.metrics
        told += [f"{name} {float(measured[name]):.3f}" for name in self.metrics if name in measured]
        return ", ".join(told)


def _iterations(engine: Engine) -> int | None:
    """Return at which iteration an engine that begins an epoch will be at its end.

    An evaluator counts its iterations anew in each run, but not its epochs.
    """
    state = engine.state
    if state.max_epochs is None:
        return None if state.max_iters is None else int(state.max_iters)
    if state.epoch_length is None:
        return None
    begun = state.iteration % state.epoch_length
    return int(state.iteration - begun + (state.max_epochs - state.epoch + 1) * state.epoch_length)


def _loss_of(output: Any) -> float | None:
    """Return the loss in an engine's output, if there is one; a list is of a decollated batch."""
    first = output[0] if isinstance(output, list) and output else output
    loss = first.get("loss") if isinstance(first, Mapping) else None
    return None if loss is None else float(torch.as_tensor(loss).item())
