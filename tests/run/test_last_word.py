"""An error that is said once more, last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labelmine.errors import ConfigError
from labelmine.run.last_word import labelmine_cause, say_error_last


def test_command_line_ends_with_the_refusal(configs: Path) -> None:
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(configs / "base.yaml"), "--epoch", "5"]
    done = subprocess.run(command, cwd=configs, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not (configs / "out.txt").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ConfigError: unknown override 'epoch' (did you mean 'epochs'?)")


def test_error_said_last_leaves_other_errors_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    say_error_last()
    hook = sys.excepthook
    say_error_last()
    assert sys.excepthook is hook, "installed once"
    hook(ValueError, ValueError("plain"), None)
    assert capsys.readouterr().err == ""
    wrapped = RuntimeError("Failed to evaluate")
    wrapped.__cause__ = ConfigError("expected this, got that")
    hook(RuntimeError, wrapped, None)
    assert capsys.readouterr().err == "\nConfigError: expected this, got that\n"


def test_the_cause_beneath_any_number_of_wraps() -> None:
    told = ConfigError("expected this")
    error: Exception = told
    for _ in range(3):
        outer = RuntimeError("Failed to evaluate")
        outer.__cause__ = error
        error = outer
    assert labelmine_cause(error) is labelmine_cause(told) is told
    assert labelmine_cause(ValueError("another's")) is None
