from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelmine.errors import ConfigError
from labelmine.teachers import build_compact_teacher
from makers import metrics_of


def test_two_steps_on_phantoms(
    tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    exam = phantom_folder(4, size=64)
    run_config(
        "train_teacher", dataset_dirs=[str(exam), "phantom"], phantom_count=4, exam_dir=str(exam), image_size=64,
        batch_size=2, max_epochs=1, steps_per_epoch=2, bfloat16=False, output_dir=str(tmp_path / "out"), device="cpu",
    )  # fmt: skip
    teacher = build_compact_teacher(str(tmp_path / "out" / "teacher.safetensors"))
    assert teacher.image_size == 64
    assert len(teacher.trained_on) == 4, "made images need not be remembered, real ones must"
    exam_figures = metrics_of(tmp_path / "out")["exam"]
    assert 0 <= exam_figures["dice"]["mean"] <= 1
    assert "%|" not in capsys.readouterr().err, "no bars where output is no terminal"


def test_sets_must_be_named(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"dataset_dirs: name at least one image set with masks"):
        run_config("train_teacher")


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'exam_jiter' \(did you mean 'exam_jitter'\?\)"):
        run_config("train_teacher", exam_jiter=0.1)
