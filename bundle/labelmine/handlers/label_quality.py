"""Do pseudo labels grow better with the student? One row per epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.labelers import PseudoLabel
from labelmine.quality import agreement
from labelmine.ranks import gathered

HiddenGold = Callable[[str], Tensor | None]


class LabelQuality:
    """Collect what a labeler answers during training; write a CSV after each epoch.

    Give it to ``PseudoLabeling`` as an observer, and attach it to the same trainer. Columns: ``epoch``, ``labelled``
    (answers), ``accepted`` (fraction of them), ``score`` (their mean), and where gold is known but hidden from training
    ``dice`` (mean over accepted labels, in the student's view) and ``n_gold`` (how many those are). The answers of all
    ranks count, and the first rank writes.

    Args:
        path: CSV file, written anew after each epoch.
        hidden_gold: Returns the mask (K, S, S) of an image's view by id, or None; compared with, never trained on.
    """

    def __init__(self, path: str | Path, hidden_gold: HiddenGold | None = None) -> None:
        """Start without rows."""
        self.path = Path(path)
        self.hidden_gold = hidden_gold
        self.rows: list[dict[str, float]] = []
        self._scores: list[float] = []
        self._accepted: list[bool] = []
        self._dice: list[float] = []

    def attach(self, engine: Engine) -> None:
        """Write after each epoch of the trainer ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Add the finished epoch's row."""
        ranks = gathered((self._scores, self._accepted, self._dice))
        scores, accepted, dice = ([value for rank in ranks for value in rank[kind]] for kind in range(3))
        self.rows.append(
            {
                "epoch": engine.state.epoch,
                "labelled": len(scores),
                "accepted": _mean(accepted),
                "score": _mean(scores),
                "dice": _mean(dice),
                "n_gold": len(dice),
            }
        )
        if idist.get_rank() == 0:
            write_whole(self.path, pd.DataFrame(self.rows).to_csv(index=False).encode())

    def observe(self, batch: Mapping[str, Any], label: PseudoLabel) -> None:
        """Take up the answers to a batch."""
        self._scores += label.score.tolist()
        self._accepted += label.accepted.tolist()
        if self.hidden_gold is None:
            return
        for row in torch.nonzero(label.accepted).flatten().tolist():
            gold = self.hidden_gold(batch["id"][row])
            if gold is not None:
                self._dice.append(float(agreement(label.mask[row : row + 1].cpu(), gold[None].float())))

    def state_dict(self) -> dict[str, list[dict[str, float]]]:
        """Return what a resume needs."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, list[dict[str, float]]]) -> None:
        """Take up the rows of an earlier run."""
        self.rows = list(state["rows"])

    def _begin(self, engine: Engine) -> None:
        self._scores, self._accepted, self._dice = [], [], []


def _mean(values: list[Any]) -> float:
    return float("nan") if not values else sum(map(float, values)) / len(values)
