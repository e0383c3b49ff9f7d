"""The study of review orders: which decisions each student is trained after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelmine.data import ClassMap
from labelmine.exchange.decisions import Decision, DecisionLog
from makers import loaded_script


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = loaded_script("review_order", "scripts/results")
    monkeypatch.setattr(module, "STUDENTS_CSV", tmp_path / "students.csv")
    return module


def test_each_student_is_trained_after_the_first_reviews_of_its_order(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, ids = DecisionLog(tmp_path / "all", ClassMap()), list("abcdef")
    for number, image in enumerate(ids):
        mask = np.zeros((1, 8, 8), bool)
        mask[0, number] = True
        said: dict[str, Any] = {"when": "", "seconds": 1, "label_sha256": ""}
        log.append(Decision(id=image, reviewer="simulated", verdict="corrected", **said), mask)
    expected = [0.5, 0.1, 0.4, 0.3, 0.2, 0.6]
    reviewed = pd.DataFrame({"id": ids, "expected": expected, "before": [0.5] * 6, "after": [0.9] * 6})
    begun: list[tuple[str, list[str]]] = []

    def mine(folder: Path, options: list[str]) -> dict[str, Any]:
        begun.append((folder.name, options))
        told = DecisionLog(options[-1]).final() if "--corrections" in options else {}
        for image, decision in told.items():
            assert DecisionLog(options[-1]).mask(decision)[0, ids.index(image)].all()
        return {"kept": "mined", "mined": {"dice": {"mean": 0.5 + 0.01 * len(told)}}, "told": list(told)}

    monkeypatch.setattr(script, "mine", mine)
    script.train_students("tiny", log, reviewed, [2], ["--seed", "3"], tmp_path)
    table = pd.read_csv(tmp_path / "students.csv")
    assert table[["order", "seed", "reviews"]].to_numpy().tolist() == [
        ["none", 0, 0], ["ranking", 0, 2], ["lowest score", 0, 2], ["random", 0, 2], ["random", 1, 2], ["random", 2, 2],
    ]  # fmt: skip
    assert table["dice"].tolist() == [0.5, *[0.52] * 5]
    reviews = {name: sorted(DecisionLog(options[-1]).final()) for name, options in begun[1:]}
    assert (reviews["ranking_0_2"], reviews["lowest_score_0_2"]) == (["a", "b"], ["b", "e"])
    assert begun[0] == ("none_0_0", ["--seed", "3"])
    script.train_students("tiny", log, reviewed, [2], ["--seed", "3"], tmp_path)
    assert len(begun) == 6, "what is there is not trained again"
