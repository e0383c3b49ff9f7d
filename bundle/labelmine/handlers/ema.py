"""The moving average of a student as prompter: steadier than the student of the last step."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn

from labelmine.ranges import check_number


class EmaStudent(EMAHandler):  # type: ignore[misc]  # ignite is not followed by mypy
    """ignite's ``EMAHandler`` with the state that a resume needs.

    ``ema_model`` is the averaged network, in evaluation mode; batch normalisation is averaged too.

    Args:
        student: The network in training.
        decay: Part of the average that stays at each step, in (0, 1), for example 0.99.
        warm_up: Forget the untrained network soon: the average is of the last ninth of all steps until ``decay`` spans
            more (Abadi et al. 2016, TensorFlow's ``num_updates``).

    Raises:
        ConfigError: When ``decay`` is out of range.
    """

    def __init__(self, student: nn.Module, decay: float = 0.99, warm_up: bool = False) -> None:
        """Start from a copy of the student."""
        check_number("ema_decay", decay, 0, 1, open_low=True, open_high=True, hint="or 0 for no average")
        super().__init__(student, momentum=1 - decay, handle_buffers="update")
        self.warm_up = warm_up

    def attach(self, engine: Engine, event: Any = Events.ITERATION_COMPLETED) -> None:
        """Follow the trainer ``engine`` at each ``event``, with a momentum of its own."""
        name = f"momentum_{id(self)}"

        def grow(engine: Engine) -> None:
            setattr(engine.state, name, max(self.momentum, 9 / (10 + engine.state.iteration)))

        if self.warm_up:  # by the iteration, which a resume restores
            engine.add_event_handler(event, grow)
        super().attach(engine, name, event=event)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        state: dict[str, Any] = self.ema_model.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the averaged weights of an earlier run."""
        self.ema_model.load_state_dict(state)
