"""How a command ends that could not end well: one line and an exit status."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import Exit

from labelmine.run.last_word import (
    FAILED,
    GOES_ON,
    STARTS_ANEW,
    labelmine_cause,
    one_line,
    raise_sigterm,
    stop_status,
)


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
    except BaseException as error:
        stop = stop_status(error)
        if stop is not None:
            click.echo(GOES_ON if resumes else STARTS_ANEW, err=True)
            raise Exit(stop) from error
        if not isinstance(error, Exception):
            raise
        if debug:
            traceback.print_exception(error)
        click.echo(_with_hint(error, debug), err=True)
        raise Exit(FAILED) from error


def _with_hint(error: Exception, debug: bool) -> str:
    known = debug or labelmine_cause(error) is not None
    return one_line(error) if known else f"{one_line(error)} (run again with --debug for the traceback)"


@contextmanager
def _sigterm_raised() -> Iterator[None]:
    before: Any = raise_sigterm()
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
