"""The knobs of ``configs/mine.yaml``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from annotated_types import Interval
from pydantic import model_validator

from labelmine.handlers import Schedule
from labelmine.handlers.schedule import ScheduleName
from labelmine.run.knobs import Count, GoldKnobs, NotNegative, Share, TrustKnobs
from labelmine.training.task import TaskKnobs


class MineKnobs(GoldKnobs, TaskKnobs, TrustKnobs):
    """All of them; the groups say what for."""

    workflow: ClassVar[str] = "mine"

    corrections: str | None
    folds: NotNegative
    fold_epochs: Count
    fit_steps: NotNegative
    gate_margin: Annotated[float, Interval(ge=-1, le=1)]
    pseudo_weight: Share
    strong_view: Share
    gold_share: Annotated[float, Interval(gt=0, le=1)]
    review_budget: NotNegative
    review_diversity: Share
    schedule: ScheduleName
    start_from: Literal["new", "supervised"]
    relabel_every: Count
    warm_up: NotNegative
    ramp_up: NotNegative
    soft_labels: bool
    ema_decay: Annotated[float, Interval(ge=0, lt=1)]
    num_workers: NotNegative

    @property
    def labelling(self) -> Schedule:
        """When images are labelled.

        Raises:
            ConfigError: Two knobs that do not go together.
        """
        return Schedule(
            self.schedule,
            relabel_every=self.relabel_every,
            warm_up=self.warm_up,
            ramp_up=self.ramp_up,
            soft=self.soft_labels,
        )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        _ = self.labelling
        return self
