from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelmine.data import ClassMap
from labelmine.exchange.decisions import Decision, DecisionLog
from labelmine.quality import AreaRange, DrawnBy, Gate, Verdict
from labelmine.quality.expected_dice import Calibration, ExpectedDice
from labelmine.workflows.mine.review_summary import review_figures, review_sentences


def run_folder(folder: Path, dice: float, test: list[str]) -> dict[str, Any]:
    metrics = {"kept": "mined", "mined": {"dice": {"mean": dice}}, "supervised": {"dice": {"mean": 0.1}}}
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "split.json").write_text(json.dumps({"test": test}))
    return metrics


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    run_folder(tmp_path / "first", 0.70, ["t"])
    log = DecisionLog(tmp_path / "first" / "review", ClassMap())
    mask = np.ones((1, 4, 4), bool)
    for image, verdict, used, expected, dice in (
        ("a", "accepted", False, 0.4, 1.0),  # right, though the run doubted it
        ("b", "corrected", False, 0.4, 0.3),
        ("c", "corrected", True, 0.8, 0.95),
        ("d", "rejected", True, 0.8, None),  # wrong, though the run trained with it
        ("e", "rejected", True, 0.8, None),
    ):
        facts = {"when": "", "seconds": 24.0, "label_sha256": "", "used": used, "expected_dice": expected, "dice": dice}
        decision = Decision(id=image, reviewer="ann", verdict=verdict, **facts)  # type: ignore[arg-type]
        log.append(decision, None if dice is None else mask)
    log.append(Decision(id="e", reviewer="ann", verdict="undone", when="", seconds=0, label_sha256=""))
    return log.folder


def test_what_a_review_brought(reviewed: Path, tmp_path: Path) -> None:
    metrics = run_folder(tmp_path / "second", 0.75, ["t"])
    figures = review_figures(str(reviewed), tmp_path / "second", metrics)
    found = figures["review"]
    assert {name: found[name] for name in ("accepted", "corrected", "rejected", "minutes")} == {
        "accepted": 1, "corrected": 2, "rejected": 1, "minutes": 1.6,
    }  # fmt: skip
    assert (found["doubted"], found["right_though_doubted"]) == (2, 1)
    assert (found["used"], found["wrong_though_used"]) == (2, 1)
    assert found["expected_dice"] == pytest.approx(1.6 / 3)
    assert found["measured_dice"] == pytest.approx(0.75)
    assert found["student_dice"] == {"before": 0.7, "after": 0.75}
    assert found["calibration_error"] is None  # neither run had a gate
    sentences = list(review_sentences(figures))
    assert sentences[1].startswith("review: 1 of 2 labels that the run had left out were right; 1 of 2")
    assert sentences[-1] == "review: test Dice 0.700 before the review, 0.750 now"


def test_calibration_before_and_after(reviewed: Path, tmp_path: Path) -> None:
    metrics = run_folder(tmp_path / "second", 0.75, ["t"])
    gate = Gate(class_names=("foreground",), size_from={"small": 0.0}, choices=({"small": DrawnBy.LABELER},))
    for name, observed in (("first", 0.5), ("second", 0.7)):
        known = Calibration(expected=[0.8] * 10, observed=[observed] * 10, method="x", n_groups=10)
        learnt = ExpectedDice(names=("stability",), weights=(1.0,), x=(0.0, 1.0), y=(0.0, 1.0), calibration=known)
        found = Verdict(gate=gate, expected_dice=learnt, area_range=AreaRange((0.0,), (1.0,)), source={})
        found.save(tmp_path / name / "gate.json")
    figures = review_figures(str(reviewed), tmp_path / "second", metrics)
    assert figures["review"]["calibration_error"] == {"before": 0.3, "after": 0.1}
    told = "review: error of the expected Dice on held-out gold 0.300 before the review, 0.100 now"
    assert told in list(review_sentences(figures))


def test_students_of_other_exams_are_not_compared(reviewed: Path, tmp_path: Path) -> None:
    metrics = run_folder(tmp_path / "second", 0.75, ["another"])
    assert review_figures(str(reviewed), tmp_path / "second", metrics)["review"]["student_dice"] is None


def test_without_a_review_there_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for corrections in (None, str(tmp_path / "masks")):
        assert review_figures(corrections, tmp_path, {}) == {}
    assert list(review_sentences({})) == []
