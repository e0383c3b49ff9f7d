from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from labelmine.evaluation import evaluate_masks
from labelmine.report import plots

HISTORY = [{"epoch": 1, "train_loss": 0.9}, {"epoch": 2, "train_loss": 0.5, "val_dice": 0.4}]


def tables() -> dict[str, pd.DataFrame]:
    gold = np.zeros((1, 40, 60), dtype=bool)
    gold[0, 10:30, 20:45] = True
    return {
        name: evaluate_masks((str(i), np.roll(gold, i * step, axis=2), gold) for i in range(6))
        for name, step in (("supervised", 3), ("mined", 2))
    }


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.dice_by_image(tables()),
        lambda: plots.learning_curve({"supervised": HISTORY, "mined": []}, "val_dice", "Dice"),
        lambda: plots.reliability(pd.DataFrame({"expected": [0.2], "observed": [0.3], "n": [5]})),
    ],
    ids=["dice", "curve", "reliability"],
)
def test_plots_are_pngs_and_the_same_twice(draw: Callable[[], bytes]) -> None:
    first = draw()
    assert first.startswith(b"\x89PNG")
    assert first == draw()
