"""Progress of long work: a line with rate and time left on a terminal, a few log messages where output is none.

Only the first rank tells. Log messages and warnings that come while a line is shown stand above it.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from threading import Lock
from typing import Any, Self, TextIO, TypeVar

from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

logger = logging.getLogger(__name__)
T = TypeVar("T")

LOG_SECONDS = 30.0  # between two messages about one loop, where output is no terminal


def progress(
    iterable: Iterable[T], desc: str, unit: str = "image", total: int | None = None, leave: bool = True
) -> Iterator[T]:
    """Yield what an iterable holds and tell how far the loop is.

    Args:
        iterable: What to loop over.
        desc: What is being done.
        unit: What one element is, singular.
        total: Number of elements; None: the iterable's length, where it has one.
        leave: See ``ProgressLine``.
    """
    with ProgressLine(desc, unit, _length(iterable) if total is None else total, leave=leave) as line:
        for element in iterable:
            yield element
            line.update()


class ProgressLine:
    """Tell how far work is that is no plain loop; a context manager.

    On a terminal the line stays, full, when the work has ended, and as it was when an error ended it. Elsewhere the log
    gets a message at the end, and before it one every ``LOG_SECONDS``.

    Args:
        desc: What is being done.
        unit: What is counted, singular; ``B`` for bytes.
        total: How many there are; None: unknown.
        initial: How many an earlier run has done.
        leave: False for a small part of some other work: its line vanishes at the end, and the log is silent about what
            took less than ``LOG_SECONDS``. A line below another one always vanishes.
    """

    def __init__(
        self, desc: str, unit: str = "image", total: int | None = None, initial: int = 0, leave: bool = True
    ) -> None:
        """Show the line, where output is a terminal."""
        self.desc = desc
        self.unit = unit
        self.total = total
        self.initial = initial
        self.done = initial
        self.leave = leave
        self.note = ""
        self._open = _is_first_rank()
        self._started = self._told = time.monotonic()
        self._bar: tqdm[Any] | None = None
        if self._open and on_terminal():
            _ABOVE.enter()
            self._bar = tqdm(
                total=total,
                desc=desc,
                unit=unit,
                initial=initial,
                leave=None if leave else False,  # None: unless it is below another one
                file=sys.stderr,
                dynamic_ncols=True,
                smoothing=0,  # a mean of all that was done: pauses, as for validation, count
                unit_scale=unit == "B",
                unit_divisor=1024,
            )

    def update(self, count: int = 1, note: str | None = None) -> None:
        """Count what was done.

        Args:
            count: How many more are done.
            note: What else to tell from now on, for example the loss; None: as before.
        """
        self.done += count
        self.note = self.note if note is None else note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=count == 0)
            self._bar.update(count)
        elif count and self._open and time.monotonic() - self._told >= LOG_SECONDS:
            self._told = time.monotonic()
            logger.info("%s", self._message(finished=False))

    def close(self, finished: bool = True) -> None:
        """End the line; a second call does nothing.

        Args:
            finished: Whether the work came to its end, be it after less than ``total``.
        """
        if not self._open:
            return
        self._open = False
        if self._bar is not None:
            self._close(self._bar, finished)
        elif finished and self.done and (self.leave or time.monotonic() - self._started >= LOG_SECONDS):
            logger.info("%s", self._message(finished=True))

    def __enter__(self) -> Self:
        """Return the line."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the line; it is full unless an error ended the work."""
        self.close(finished=kind is None)

    def _close(self, bar: tqdm[Any], finished: bool) -> None:
        if finished:
            bar.total = bar.n
        if not bar.n:
            bar.leave = False
        bar.close()
        _ABOVE.exit()

    def _message(self, finished: bool) -> str:
        seconds = time.monotonic() - self._started
        total = None if finished else self.total
        parts = [_amount(self.done, total, self.unit), self.note, duration(seconds)]
        if total is not None:
            parts.append(f"{duration(time_left(seconds, self.done, total, self.initial))} left")
        return f"{self.desc}: {', '.join(part for part in parts if part)}"


def on_terminal() -> bool:
    """Whether a person looks at all output: with either stream in a file or pipe, a line would break what is there."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def time_left(seconds: float, done: int, total: int, initial: int = 0) -> float:
    """Return the seconds that work needs yet, if it goes on as since it was at ``initial``.

    Example:
        >>> time_left(60, done=30, total=50, initial=10)
        60.0
    """
    return seconds * max(total - done, 0) / max(done - initial, 1)


def duration(seconds: float) -> str:
    """Return a duration as one tells it.

    Example:
        >>> duration(0.3), duration(89), duration(130), duration(7500)
        ('0.3 s', '89 s', '2 min', '2 h 05 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


class _Above:
    """Send log messages and warnings above the lines that are shown, as long as there is one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines = 0
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._lines == 0:
                self._redirect()
            self._lines += 1

    def exit(self) -> None:
        with self._lock:
            self._lines -= 1
            if self._lines == 0:
                self._undo.close()

    def _redirect(self) -> None:
        known = [logging.root, *logging.root.manager.loggerDict.values()]
        handlers = {handler for one in known if isinstance(one, logging.Logger) for handler in one.handlers}
        for handler in handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr):
                self._undo.callback(handler.setStream, handler.stream)
                handler.setStream(DummyTqdmFile(handler.stream))
        self._undo.callback(setattr, warnings, "showwarning", warnings.showwarning)
        warnings.showwarning = _warn_above


_ABOVE = _Above()


def _warn_above(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Take the place of ``warnings.showwarning``."""
    tqdm.write(warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr, end="")


def _is_first_rank() -> bool:
    import ignite.distributed as idist  # torch with it, which not all that shows progress needs

    return bool(idist.get_rank() == 0)


def _length(iterable: Iterable[Any]) -> int | None:
    try:
        return len(iterable)  # type: ignore[arg-type]
    except TypeError:
        return None


def _amount(done: int, total: int | None, unit: str) -> str:
    """Return for example ``3 of 12 batches``."""
    counts = [done] if total is None else [done, total]
    if unit == "B":
        return " of ".join(tqdm.format_sizeof(count, "B", 1024) for count in counts)
    ending = "" if counts[-1] == 1 else "es" if unit.endswith("ch") else "s"
    return f"{' of '.join(map(str, counts))} {unit}{ending}"
