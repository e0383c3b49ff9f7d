"""What asks a trained student goes by one teacher, from its first image to its last."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labelmine.errors import ConfigError
from labelmine.prediction.task import StudentTask
from labelmine.run.folder import RunFolder


def task_with_decoder(folder: Path, sha256: str, monkeypatch: pytest.MonkeyPatch) -> StudentTask[Any]:
    task: StudentTask[Any] = StudentTask(SimpleNamespace(model_dir=str(folder / "model")))
    task.__dict__["folder"] = RunFolder(folder / "out", {}, "inference")
    labeler = SimpleNamespace(teacher=SimpleNamespace(decoder_sha256=sha256))
    monkeypatch.setattr("labelmine.prediction.task.fitted_labeler", lambda *_: labeler)
    return task


@pytest.mark.parametrize(("then", "now"), [("a" * 64, "b" * 64), ("a" * 64, ""), ("", "b" * 64)])
def test_masks_of_two_decoders_are_not_mixed(
    then: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = task_with_decoder(tmp_path, then, monkeypatch)
    first.fitted(SimpleNamespace(teacher=None))
    first.folder.stage("predict", lambda: None)
    task_with_decoder(tmp_path, then, monkeypatch).fitted(SimpleNamespace(teacher=None))
    with pytest.raises(ConfigError, match=r"out holds a run with other settings .*decoder_sha256"):
        task_with_decoder(tmp_path, now, monkeypatch).fitted(SimpleNamespace(teacher=None))
