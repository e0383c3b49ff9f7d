"""An error of labelmine's said last, below the traceback, where people look."""

from __future__ import annotations

import sys
from types import TracebackType

from labelmine.errors import LabelmineError


def say_error_last() -> None:
    """Print a labelmine error once more below the traceback.

    MONAI wraps whatever a config raises in ``RuntimeError: Failed to evaluate ...``, which leaves the line that says
    how to mend it far above the end of the output.
    """
    previous = sys.excepthook
    if getattr(previous, "says_error_last", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        previous(kind, error, trace)
        cause = labelmine_cause(error.__cause__)
        if cause is not None:
            sys.stderr.write(f"\n{type(cause).__name__}: {cause}\n")

    hook.says_error_last = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def labelmine_cause(error: BaseException | None) -> LabelmineError | None:
    """Return the labelmine error beneath what MONAI made of it; None: it is another's."""
    while error is not None and not isinstance(error, LabelmineError):
        error = error.__cause__
    return error


def on_monai_command_line() -> bool:
    """Whether ``python -m monai.bundle`` is the program, and not some other that calls ``monai.bundle.run``."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", None) == "monai.bundle.__main__"
