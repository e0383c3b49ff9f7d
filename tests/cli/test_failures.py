"""How commands end that could not end well."""

from __future__ import annotations

import errno
import subprocess
import sys

import click
import pytest

from labelmine.cli.failures import reported
from labelmine.errors import ConfigError
from labelmine.run.last_word import one_line


def wrapped(cause: Exception, times: int = 2) -> Exception:
    """What MONAI makes of an error."""
    for _ in range(times):
        error = RuntimeError("Failed to evaluate ConfigExpression: \n{'...'}")
        error.__cause__ = cause
        cause = error
    return cause


def test_a_labelmine_error_is_found_beneath_what_wraps_it() -> None:
    assert one_line(wrapped(ConfigError("expected this,\n got that"))) == "ConfigError: expected this, got that"


def test_other_errors_are_named_with_the_way_to_their_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    told = RuntimeError("out of memory")
    told.__cause__ = KeyError("a")
    shown = {"KeyError: 'a'": wrapped(KeyError("a")), "ValueError": ValueError(), "RuntimeError: out of memory": told}
    for line, error in shown.items():  # only MONAI's own wrapping is taken off
        with pytest.raises(click.exceptions.Exit), reported(debug=False):
            raise error
        assert capsys.readouterr().err == f"{line} (run again with --debug for the traceback)\n"
        assert one_line(error) == line


def test_what_the_system_says_of_a_file_is_said_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit), reported(debug=False):
        raise wrapped(OSError(errno.ENOSPC, "No space left on device", "out/events"))  # type: ignore[arg-type]
    said = "StorageError: out/events: No space left on device. Make room there; the same command then goes on\n"
    assert capsys.readouterr().err == said


def test_a_stop_that_became_an_error_on_the_way_is_a_stop() -> None:
    error = ValueError("the writer was closed")
    error.__context__ = KeyboardInterrupt()
    with pytest.raises(click.exceptions.Exit) as caught, reported(debug=False):
        raise error
    assert caught.value.exit_code == 130


def test_an_error_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit) as caught, reported(debug=False):
        raise wrapped(ConfigError("expected this"))
    assert caught.value.exit_code == 1
    assert capsys.readouterr() == ("", "ConfigError: expected this\n")


def test_debug_shows_the_traceback_above_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit), reported(debug=True):
        raise wrapped(ConfigError("expected this"))
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert "RuntimeError: Failed to evaluate" in said
    assert said.splitlines()[-1] == "ConfigError: expected this"


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("resumes", [True, False])
def test_a_stop_says_how_to_go_on(name: str, status: int, resumes: bool) -> None:
    """In a process of its own, whose threads and handlers are known."""
    code = (
        "import os, signal, sys, click\n"
        "from labelmine.cli.failures import reported\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "before = signal.getsignal(signal.SIGTERM)\n"
        "try:\n"
        f"    with reported(debug=False, resumes={resumes}): os.kill(os.getpid(), signal.{name}) or signal.pause()\n"
        "except click.exceptions.Exit as end:\n"
        "    assert signal.getsignal(signal.SIGTERM) is before\n"
        "    sys.exit(end.exit_code)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    line = "the same command goes on where it stopped" if resumes else "the same command starts anew"
    assert (ended.returncode, ended.stderr) == (status, f"stopped; {line}\n")


def test_an_interrupted_expression_of_a_config_ends_with_the_status() -> None:
    code = (
        "import os, signal, sys, click\n"
        "from labelmine.cli.failures import reported\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n"
        "    with reported(debug=False): eval('os.kill(os.getpid(), signal.SIGINT) or signal.pause()')\n"
        "except click.exceptions.Exit as end: sys.exit(end.exit_code)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 130
