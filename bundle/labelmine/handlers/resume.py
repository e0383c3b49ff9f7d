"""Resume by default: a training that was killed goes on at the last finished epoch."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint

from labelmine.atomic import write_whole
from labelmine.errors import WeightsError
from labelmine.weights import load_checkpoint

logger = logging.getLogger(__name__)


class Resume:
    """Keep one checkpoint with the state of all given objects and of the engine; load it when the run starts.

    ignite's and MONAI's checkpoint handlers each do one half and number their files; this keeps one file, replaced
    atomically, so that there is never a choice of which to resume from. A training that came to its end, early or not,
    stays as it is when it is started again; a higher ``max_epochs`` lets it go on.

    Args:
        path: The checkpoint file.
        objects: What has a ``state_dict`` and must survive: network, optimizer, scheduler, handlers with state. The
            loss scaler of a MONAI trainer in mixed precision is taken along unasked.
        needed: Files of the training that its checkpoint cannot give again: without one of them it starts anew.

    Raises:
        WeightsError: When the file holds code, is damaged, or belongs to another network.
    """

    def __init__(self, path: str | Path, objects: Mapping[str, Any], needed: Sequence[Path] = ()) -> None:
        """Keep what to save."""
        self.path = Path(path)
        self.objects = dict(objects)
        self.needed = needed

    def attach(self, engine: Engine) -> None:
        """Load at the start of ``engine``'s run, save after each epoch; attach last, after all that changes state."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def load(self, engine: Engine) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        if lost := [path.name for path in self.needed if not path.is_file()]:
            logger.warning("%s: %s is gone; trained anew", self.path.parent.name, lost[0])
            return
        try:
            checkpoint = load_checkpoint(self.path)
            Checkpoint.load_objects(to_load=self._objects(engine), checkpoint=checkpoint)
            saved = checkpoint["engine"]
            epoch = saved["iteration"] // saved["epoch_length"]
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            raise WeightsError(
                f"{self.path.parent.name}/{self.path.name}: cannot go on from this checkpoint, it is damaged or of "
                f"another training ({error}). Give the settings it was made with, or delete it to train anew."
            ) from error
        engine.state.epoch = epoch
        engine.state.iteration = epoch * engine.state.epoch_length
        logger.info("%s: resumed after epoch %d of %d", self.path.parent.name, epoch, engine.state.max_epochs)
        if checkpoint.get("finished", False) and engine.state.max_epochs <= saved["max_epochs"]:
            engine.terminate()

    def save(self, engine: Engine) -> None:
        """Replace the checkpoint; the first rank does, and all ranks load it."""
        if idist.get_rank() > 0:
            return
        state: dict[str, Any] = {name: thing.state_dict() for name, thing in self._objects(engine).items()}
        state["engine"] = dict(engine.state_dict())
        state["finished"] = bool(engine.should_terminate)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(self.path, buffer.getvalue())

    def _objects(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        return self.objects if scaler is None else {**self.objects, "scaler": scaler}
