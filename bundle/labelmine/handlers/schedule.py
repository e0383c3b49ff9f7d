"""When pseudo labels are made, and when they begin to count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from labelmine.errors import ConfigError
from labelmine.ranges import check_number

ScheduleName = Literal["one_time", "continuous"]


@dataclass(frozen=True)
class Schedule:
    """When images are labelled during a training.

    Attributes:
        name: ``one_time``: all once, when the trainer starts. ``continuous``: at each visit, so that labels grow better
            with the student (S1).
        relabel_every: ``continuous``: an image is labelled at its first visit and again at every so many visits.
        warm_up: ``continuous``: epochs in which gold trains alone and unlabelled rows leave the batch.
        ramp_up: Epochs over which pseudo labels gain their full weight; 0: they have it from the first.
        soft: ``continuous``: whether masks are probabilities to be trained on as they are (mean teacher) rather than
            thresholded at 0.5.

    Raises:
        ConfigError: When a knob is out of its range, or two do not go together.

    Example:
        >>> tuple(round(Schedule("continuous", ramp_up=3).risen(epoch), 3) for epoch in (1, 2, 3, 4))
        (0.108, 0.574, 1.0, 1.0)
    """

    name: ScheduleName = "one_time"
    relabel_every: int = 1
    warm_up: int = 0
    ramp_up: int = 0
    soft: bool = False

    def __post_init__(self) -> None:
        """Check the knobs."""
        if self.name not in get_args(ScheduleName):
            raise ConfigError(f"schedule: expected 'one_time' or 'continuous'. Got: {self.name!r}")
        check_number("relabel_every", self.relabel_every, 1, whole=True)
        check_number("warm_up", self.warm_up, 0, whole=True)
        check_number("ramp_up", self.ramp_up, 0, whole=True)
        if self.soft and (not self.continuous or self.relabel_every > 1):
            raise ConfigError("soft labels are made at each visit: give schedule 'continuous' and relabel_every 1.")

    @property
    def continuous(self) -> bool:
        """Whether images are labelled at their visits."""
        return self.name == "continuous"

    @property
    def at_each_visit(self) -> bool:
        """Whether an image is labelled anew each time, so that no label is kept."""
        return self.continuous and self.relabel_every == 1

    def waits(self, epoch: int) -> bool:
        """Whether gold trains alone in an epoch, counted from 1."""
        return self.continuous and 0 < epoch <= self.warm_up

    def risen(self, epoch: int) -> float:
        """Return the part of their weight that pseudo labels have in an epoch, counted from 1.

        ``exp(-5 (1 - t)^2)`` with ``t`` from 0 to 1 over ``ramp_up`` epochs (Laine and Aila 2017).
        """
        return math.exp(-5 * (1 - min(epoch / self.ramp_up, 1)) ** 2) if self.ramp_up else 1.0
