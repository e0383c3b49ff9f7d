"""Resume by default: a training that was killed goes on at the last finished epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

logger = logging.getLogger(__name__)


class Resume:
    """Keep one checkpoint with the state of all given objects and of the engine; load it when the run starts.

    ignite's and MONAI's checkpoint handlers each do one half and number their files; this keeps one file, replaced
    atomically, so that there is never a choice of which to resume from.

    Args:
        path: The checkpoint file.
        objects: What has a ``state_dict`` and must survive: network, optimizer, scheduler, handlers with state.

    Raises:
        WeightsError: When the file holds code, is damaged, or belongs to another network.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any]) -> None:
        """Keep what to save."""
        self.path = Path(path)
        self.objects = dict(objects)

    def attach(self, engine: Engine) -> None:
        """Load at the start of ``engine``'s run, save after each epoch (last of that epoch's handlers)."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def load(self, engine: Engine) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        max_epochs = engine.state.max_epochs
        state = torch.load(self.path, weights_only=True)
        Checkpoint.load_objects(to_load={**self.objects, "engine": engine}, checkpoint=state)
        engine.state.max_epochs = max_epochs
        logger.info("%s: resumed after epoch %d of %d", self.path.name, engine.state.epoch, max_epochs)

    def save(self, engine: Engine) -> None:
        """Replace the checkpoint."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: thing.state_dict() for name, thing in {**self.objects, "engine": engine}.items()}
        draft = self.path.with_suffix(".part")
        torch.save(state, draft)
        draft.replace(self.path)
