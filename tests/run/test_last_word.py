"""An error that is said once more, last."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from labelmine.errors import ConfigError
from labelmine.run.last_word import end_well, labelmine_cause


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
    end_well()
    hook = sys.excepthook
    end_well()
    assert sys.excepthook is hook, "installed once"
    hook(ValueError, ValueError("plain"), None)
    assert capsys.readouterr().err == ""
    wrapped = RuntimeError("Failed to evaluate")
    wrapped.__cause__ = ConfigError("expected this, got that")
    hook(RuntimeError, wrapped, None)
    assert capsys.readouterr().err == "\nConfigError: expected this, got that\n"


@pytest.mark.parametrize(("stop", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stop_ends_in_one_line_with_its_status(stop: str, status: int) -> None:
    code = (
        "import os, signal\n"
        "from labelmine.run.last_word import end_well\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "end_well()\n"
        f"eval('os.kill(os.getpid(), signal.{stop}) or signal.pause()')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "stopped; the same command goes on where it stopped\n"


def test_a_fork_of_a_run_that_is_stopped_ends_without_a_word() -> None:
    code = (
        "import os, signal\n"
        "from labelmine.run.last_word import end_well\n"
        "end_well()\n"
        "child = os.fork()\n"
        "if not child: os.kill(os.getpid(), signal.SIGTERM) or signal.pause()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "143\n", "")


def test_what_the_system_says_of_a_file_is_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    end_well()
    wrapped = RuntimeError("Failed to evaluate")
    wrapped.__cause__ = OSError(errno.EROFS, "Read-only file system", "out/a")
    sys.excepthook(RuntimeError, wrapped, None)
    said = "\nStorageError: out/a: Read-only file system. Give yourself the right to write there, or give a folder of "
    assert capsys.readouterr().err == f"{said}yours; the same command then goes on\n"


def test_the_cause_beneath_any_number_of_wraps() -> None:
    told = ConfigError("expected this")
    error: Exception = told
    for _ in range(3):
        outer = RuntimeError("Failed to evaluate")
        outer.__cause__ = error
        error = outer
    assert labelmine_cause(error) is labelmine_cause(told) is told
    assert labelmine_cause(ValueError("another's")) is None
