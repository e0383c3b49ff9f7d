"""The moving average of a student as prompter: steadier than the student of the last step."""

from __future__ import annotations

from typing import Any

from ignite.handlers import EMAHandler
from torch import nn

from labelmine.ranges import check_number


class EmaStudent(EMAHandler):  # type: ignore[misc]  # ignite is not followed by mypy
    """ignite's ``EMAHandler`` with the state that a resume needs.

    ``ema_model`` is the averaged network, in evaluation mode; batch normalisation is averaged too.

    Args:
        student: The network in training.
        decay: Part of the average that stays at each step, in (0, 1), for example 0.99.

    Raises:
        ConfigError: When ``decay`` is out of range.
    """

    def __init__(self, student: nn.Module, decay: float = 0.99) -> None:
        """Start from a copy of the student."""
        check_number("ema_decay", decay, 0, 1, open_low=True, open_high=True, hint="or 0 for no average")
        super().__init__(student, momentum=1 - decay, handle_buffers="update")

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        state: dict[str, Any] = self.ema_model.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the averaged weights of an earlier run."""
        self.ema_model.load_state_dict(state)
