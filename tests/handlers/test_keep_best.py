from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ignite.engine import Engine

from labelmine.errors import ConfigError
from labelmine.handlers import KeepBest
from labelmine.networks import Student


class Recorder:
    def __init__(self) -> None:
        self.saved: list[tuple[Path, dict[str, Any]]] = []

    def save(self, path: Path, **metadata: Any) -> None:
        self.saved.append((path, metadata))


def validate(handler: KeepBest, *values: float) -> None:
    for value in values:
        engine = Engine(lambda engine, batch: None)
        engine.state.metrics["val_dice"] = value
        handler.attach(engine)
        engine.run([0])


def test_only_a_higher_metric_is_kept(tmp_path: Path) -> None:
    student = Recorder()
    handler = KeepBest(student, tmp_path / "best.safetensors", metadata={"image_size": 64})  # type: ignore[arg-type]
    validate(handler, 0.0, 0.0, 0.4, 0.3, float("nan"), 0.5)
    assert handler.best == 0.5
    assert student.saved == [(tmp_path / "best.safetensors", {"image_size": 64})] * 3


def test_the_latest_is_kept_whatever_the_metric(tmp_path: Path) -> None:
    student = Recorder()
    handler = KeepBest(student, tmp_path / "b", latest=True)  # type: ignore[arg-type]
    validate(handler, 0.4, 0.3, float("nan"))
    assert len(student.saved) == 3
    assert handler.best == 0.4


def test_a_resumed_run_does_not_forget_its_best(tmp_path: Path) -> None:
    first, student = KeepBest(Recorder(), tmp_path / "b"), Recorder()  # type: ignore[arg-type]
    validate(first, 0.7)
    resumed = KeepBest(student, tmp_path / "b")  # type: ignore[arg-type]
    resumed.load_state_dict(first.state_dict())
    validate(resumed, 0.6)
    assert student.saved == []


def test_saved_student_is_a_student(tmp_path: Path) -> None:
    student = Student(["polyp"], "mobilenet_v2")
    validate(KeepBest(student, tmp_path / "stage" / "best.safetensors", metadata={"image_size": 64}), 0.1)
    loaded, metadata = Student.load(tmp_path / "stage" / "best.safetensors")
    assert (loaded.class_names, metadata["image_size"]) == (("polyp",), 64)


def test_unknown_metric_names_the_known(tmp_path: Path) -> None:
    handler = KeepBest(Recorder(), tmp_path / "b", metric="val_iou")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"metric: expected one of .*\(val_dice\). Got: 'val_iou'"):
        validate(handler, 0.5)
