from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from labelmine.data import ImageSet, prepare_image_set
from labelmine.teachers import CompactTeacher
from labelmine.workflows.doctor import costs
from labelmine.workflows.doctor.costs import Stopwatch

KNOBS = {
    "encoder": "mobilenet_v2", "image_size": 64, "batch_size": 4, "max_epochs": 10, "steps_per_epoch": None,
    "cache_num": 2000, "tta": True, "embedding_cache": "default", "cache_gb": 20, "gate": True, "folds": 2,
    "fold_epochs": 5, "fit_steps": 0,
}  # fmt: skip


@pytest.fixture
def images(tmp_path: Path, phantom_folder: Callable[..., Path]) -> ImageSet:
    return prepare_image_set(str(phantom_folder(20, labeled=12)), str(tmp_path / "run"))


@pytest.fixture
def watch(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Whatever is timed takes two seconds."""

    def timed(_: Any, work: Callable[[], Any]) -> float:
        work()
        return 2.0

    monkeypatch.setattr(Stopwatch, "_timed", timed)
    return Stopwatch(images, KNOBS, 0, "cpu")


def test_costs_are_those_of_the_configured_training(watch: Stopwatch, images: ImageSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = watch.costs(CompactTeacher(64), tmp_path)
    gold, unlabeled, val = len(images.train), len(images.unlabeled), len(images.val)
    read = forward = 2.0 / 4
    first, folds, second, labelling = found.seconds.values()
    assert first == pytest.approx(10 * (gold // 4 * 2.0 + val * forward) + gold * read)
    assert second == pytest.approx(10 * ((gold + unlabeled) // 4 * 2.0 + val * forward) + (gold + unlabeled) * read)
    halves = [gold - gold // 2, gold // 2]
    assert folds == pytest.approx(sum(5 * (n // 4 * 2.0 + val * forward) + n * read for n in halves))
    assert labelling == pytest.approx(unlabeled * (read + 2.0 + 8 * forward))
    assert found.disk["embeddings of the teacher"] == (unlabeled + val) * 2 * 256 * 8 * 8
    weights = sum(p.numel() * 4 for p in watch.student.parameters())
    assert found.disk["two students"] == 2 * 4 * weights
    assert found.free > 0
    assert "64 pixels (mobilenet_v2)" in " ".join(found.basis)
    assert "as an estimate: time up to" in found.in_words()
    assert "--max_epochs" not in " ".join(found.basis)
    watch.knobs = {**KNOBS, "max_epochs": 5000}
    assert "Fewer --max_epochs" in watch.costs(CompactTeacher(64), tmp_path).basis[-1]


def test_steps_per_epoch_and_a_small_cache_count(watch: Stopwatch, images: ImageSet, tmp_path: Path) -> None:
    watch.knobs = {**KNOBS, "steps_per_epoch": 7, "cache_num": 5, "tta": False, "embedding_cache": None}
    found = watch.costs(CompactTeacher(64), tmp_path)
    gold, val = len(images.train), len(images.val)
    again = (gold - 5) * 0.5
    assert found.seconds["first training, on gold"] == pytest.approx(10 * (7 * 2.0 + val * 0.5 + again) + 5 * 0.5)
    assert found.seconds["labelling"] == pytest.approx(len(images.unlabeled) * (0.5 + 2.0 + 0.5))
    assert found.disk["embeddings of the teacher"] == 0


def test_fitting_the_teacher_counts(watch: Stopwatch, images: ImageSet, tmp_path: Path) -> None:
    without = watch.costs(CompactTeacher(64), tmp_path).seconds
    watch.knobs = {**KNOBS, "fit_steps": 30}
    teacher = CompactTeacher(64)
    fitted = watch.costs(teacher, tmp_path).seconds
    (name,) = fitted.keys() - without.keys()
    assert fitted[name] == pytest.approx(4 * len(images.train) * 2.0 + 3 * 30 * 2.0)
    assert all(parameter.grad is None for parameter in teacher.decoder.parameters())  # a copy learnt
    watch.knobs = {**watch.knobs, "gate": False}
    assert watch.costs(teacher, tmp_path).seconds[name] == pytest.approx(4 * len(images.train) * 2.0 + 30 * 2.0)


def test_timing_is_bounded(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch(images, KNOBS, 0, "cpu")
    calls: list[int] = []
    assert watch._timed(lambda: calls.append(1)) >= 0
    assert len(calls) == costs.TIMES + 1
    monkeypatch.setattr(costs, "SECONDS", 0.0)
    calls.clear()
    watch._timed(lambda: calls.append(1))
    assert len(calls) == 2
