"""How a command ends that could not end well: one line and an exit status."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click
from click.exceptions import Exit

from labelmine.run.last_word import labelmine_cause

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143
_GOES_ON = "stopped; the same command goes on where it stopped"
_STARTS_ANEW = "stopped; the same command starts anew"


class Terminated(BaseException):
    """SIGTERM, as Python raises KeyboardInterrupt for SIGINT."""


@contextmanager
def reported(*, debug: bool, resumes: bool = True) -> Iterator[None]:
    """Turn what is raised into one line on stderr and an exit status: 1 for errors, 130 for Ctrl-C, 143 for SIGTERM.

    Args:
        debug: Show the traceback above it.
        resumes: Whether the same command goes on after it was stopped.

    Raises:
        click.exceptions.Exit: With the status.
    """
    try:
        with _sigterm_raised():
            yield
    except Exit:
        raise
    except (KeyboardInterrupt, Terminated) as stop:
        eval("None")  # else Python remembers that MONAI's eval was interrupted, and ends by SIGINT without a status
        click.echo(_GOES_ON if resumes else _STARTS_ANEW, err=True)
        raise Exit(INTERRUPTED if isinstance(stop, KeyboardInterrupt) else TERMINATED) from stop
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        click.echo(one_line(error, debug=debug), err=True)
        raise Exit(FAILED) from error


def one_line(error: BaseException, *, debug: bool = False) -> str:
    """Say an error in one line: a labelmine error beneath whatever wraps it, else the first that is not MONAI's wrap.

    Example:
        >>> one_line(ZeroDivisionError("division by zero"))
        'ZeroDivisionError: division by zero (run again with --debug for the traceback)'
    """
    cause = labelmine_cause(error)
    shown = cause or _unwrapped(error)
    text = f"{type(shown).__name__}: {' '.join(str(shown).split())}".removesuffix(": ")
    return text if cause is not None or debug else f"{text} (run again with --debug for the traceback)"


def _unwrapped(error: BaseException) -> BaseException:
    """Go down to what was raised before MONAI said which part of a config it was building."""
    while type(error) is RuntimeError and str(error).startswith("Failed to ") and error.__cause__ is not None:
        error = error.__cause__
    return error


@contextmanager
def _sigterm_raised() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` in this process; its forks end at once, as they would have."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handler(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(TERMINATED)
        raise Terminated

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
