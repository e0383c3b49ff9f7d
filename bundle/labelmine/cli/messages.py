"""What a person reads on the terminal: labelmine's own messages, plain, and nothing of the libraries beneath."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class PlainFormatter(logging.Formatter):
    """A message as it is; from warnings on, with its level."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


@contextmanager
def messages(*, debug: bool) -> Iterator[None]:
    """Show labelmine's messages on stderr, those of several ranks once; the libraries' only for debugging.

    Args:
        debug: Show warnings of the libraries, too.
    """
    ours, root = logging.getLogger("labelmine"), logging.getLogger()
    first_rank = os.environ.get("RANK", "0") == "0"
    plain, others = logging.StreamHandler(sys.stderr), logging.StreamHandler(sys.stderr)
    plain.setFormatter(PlainFormatter())
    others.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    others.setLevel(logging.WARNING if debug else logging.CRITICAL + 1)
    others.addFilter(lambda record: not record.name.startswith("labelmine"))
    level = ours.level
    ours.setLevel(logging.INFO if first_rank else logging.WARNING)
    ours.addHandler(plain)
    root.addHandler(others)  # without any, Python writes what libraries log itself
    try:
        with warnings.catch_warnings():
            if not (debug or sys.warnoptions):
                warnings.simplefilter("ignore")
            yield
    finally:
        ours.removeHandler(plain)
        root.removeHandler(others)
        ours.setLevel(level)


def silence_libraries() -> None:
    """Take MONAI's chatter away, after its import: its loggers have levels and handlers of their own, to stdout."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "monai":
            logging.getLogger(name).setLevel(logging.ERROR)
