"""Keep the student of the best validation epoch, or of the last."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events

from labelmine.errors import ConfigError
from labelmine.networks import Student

logger = logging.getLogger(__name__)


class KeepBest:
    """Save the student whenever a validation metric is higher than ever before; attach to the evaluator.

    Of several ranks the first saves, as all hold the same student.

    Args:
        student: The network in training.
        path: File to write, safetensors.
        metric: Name of the metric in ``engine.state.metrics``; higher is better.
        metadata: What else the file should say, for example ``image_size``.
        latest: Save after every validation instead: where a handful of images validate, the highest metric is luck.
    """

    def __init__(
        self,
        student: Student,
        path: str | Path,
        metric: str = "val_dice",
        metadata: dict[str, Any] | None = None,
        latest: bool = False,
    ) -> None:
        """Start without a best."""
        self.student = student
        self.path = Path(path)
        self.metric = metric
        self.metadata = metadata or {}
        self.latest = latest
        self.best = -math.inf

    def attach(self, engine: Engine) -> None:
        """Look at the metric after each validation."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the student if it is the best so far."""
        if self.metric not in engine.state.metrics:
            known = ", ".join(engine.state.metrics) or "none"
            raise ConfigError(f"metric: expected one of the evaluator's metrics ({known}). Got: '{self.metric}'")
        value = float(engine.state.metrics[self.metric])
        if value > self.best or self.latest:
            self.best = value if value > self.best else self.best
            self._save()
            kept = "kept at" if self.latest else "new best"
            logger.debug("%s: %s %s %.4f", self.path.parent.name, kept, self.metric, value)

    def restore(self, engine: Engine) -> None:
        """Write the file again that is gone, where the student that a trainer took up is the one it held."""
        if self.latest and engine.state.epoch > 0 and not self.path.is_file():
            self._save()

    def state_dict(self) -> dict[str, float]:
        """Return what a resume needs."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take up the best of an earlier run."""
        self.best = state["best"]

    def _save(self) -> None:
        if idist.get_rank() == 0:
            self.student.save(self.path, **self.metadata)
