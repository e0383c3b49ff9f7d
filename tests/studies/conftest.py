from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd
import pytest

from labelmine.studies import StudyResults

TITLES = {"supervised": "Supervised", "one_time": "Mined", "mean_teacher": "Mean teacher"}
Made = Callable[..., StudyResults]


def made_results(
    dice: Mapping[tuple[str, float], float],
    *,
    seeds: Iterable[int] = (0, 1, 2),
    seeds_of: Mapping[tuple[str, float], Iterable[int]] | None = None,
    test_sets: Iterable[str] = ("test",),
    n: int = 24,
    noise: float = 0.01,
    **changes: object,
) -> StudyResults:
    """Results whose mean Dice by (method, fraction) is near the given one; groups of two images."""
    rng = np.random.default_rng(0)
    image = rng.normal(0, 0.1, n)
    cells, images = [], []
    for (method, fraction), mean in dice.items():
        for seed in (seeds_of or {}).get((method, fraction), seeds):
            for test_set in test_sets:
                cell = {"method": method, "fraction": fraction, "seed": seed, "test_set": test_set}
                facts = {"n_gold": 80 * fraction, "n_gold_val": 20 * fraction, "n_unlabeled": 100 - 100 * fraction}
                costs = {"steps": 1500, "seconds": 100.0 + seed, "peak_memory_mb": 900 + seed}
                calls = {"teacher_calls": None if method == "supervised" else 200 + seed}
                folder = {"folder": f"cells/{method}"}
                cells.append({**cell, "title": TITLES[method], **facts, **costs, **calls, **folder})
                values = np.clip(mean + image + rng.normal(0, noise, n), 0, 1)
                rows = {"id": [f"i{k:02d}" for k in range(n)], "group": [f"g{k // 2}" for k in range(n)]}
                rows |= {"dice": values, "iou": values / (2 - values), "gold_area": 0.05, "gold_empty": False}
                images.append(pd.DataFrame(rows).assign(**cell))
    tables = {"cells": pd.DataFrame(cells), "images": pd.concat(images, ignore_index=True)}
    return StudyResults(**({"name": "polyps", **tables} | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_results() -> Made:
    return made_results


@pytest.fixture(scope="session")
def study(make_results: Made) -> StudyResults:
    """Mining helps at 10 %, not at 50 %; nothing is left to mine at 100 %."""
    dice = {("supervised", 0.1): 0.5, ("supervised", 0.5): 0.6, ("supervised", 1.0): 0.7}
    return make_results(dice | {("one_time", 0.1): 0.58, ("one_time", 0.5): 0.6, ("mean_teacher", 0.1): 0.4})
