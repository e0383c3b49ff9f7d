from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ignite.engine import Events


def test_a_row_per_epoch_with_what_reports_need(toy: Callable[..., Any], tmp_path: Path) -> None:
    made = toy(max_epochs=3)
    losses: list[float] = []
    made.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output["loss"].item())
    )
    made.run()

    table = pd.read_csv(tmp_path / "toy" / "history.csv")

    assert list(table) == ["epoch", "step", "train_loss", "val_loss", "learning_rate", "seconds"]
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["step"].tolist() == [3, 6, 9]
    assert table["train_loss"].tolist() == pytest.approx([sum(losses[i : i + 3]) / 3 for i in (0, 3, 6)])
    assert table["val_loss"].iloc[-1] == pytest.approx(made.history.evaluator.state.metrics["val_loss"])
    assert (table["learning_rate"] == 1e-2).all()
    assert (table["seconds"] > 0).all()
