"""How a run ends that could not end well: the cause said last and in one line, an exit status, and how to go on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from labelmine.errors import LabelmineError, StorageError

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143
GOES_ON = "stopped; the same command goes on where it stopped"
STARTS_ANEW = "stopped; the same command starts anew"


class Terminated(BaseException):
    """SIGTERM, as Python raises KeyboardInterrupt for SIGINT."""


def end_well() -> None:
    """Let this program end in one line: Ctrl-C with status 130, SIGTERM with 143, errors with their cause last.

    MONAI wraps whatever a config raises in ``RuntimeError: Failed to evaluate ...``, which leaves the line that says
    how to mend it far above the end of the output. For programs that are a run and nothing else.
    """
    previous = sys.excepthook
    if getattr(previous, "ends_well", False):
        return
    raise_sigterm()

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        stop = stop_status(error)
        if stop is not None:
            sys.stderr.write(f"{GOES_ON}\n")
            sys.stderr.flush()
            raise SystemExit(stop)  # Python takes it from a hook, and ends with its status
        previous(kind, error, trace)
        line = f"{type(error).__name__}: {error}"
        if (last := one_line(error)) != line:
            sys.stderr.write(f"\n{last}\n")

    hook.ends_well = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def raise_sigterm() -> object:
    """Let SIGTERM raise `Terminated` in this process; its forks end at once, as they would have.

    Returns:
        What was done before; None outside of the main thread, where nothing can be changed.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    owner = os.getpid()

    def handler(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(TERMINATED)
        raise Terminated

    return signal.signal(signal.SIGTERM, handler)


def stop_status(error: BaseException) -> int | None:
    """Return the exit status of a run that was stopped, by whatever came of it on the way; None: it was not."""
    for one in _chain(error):
        if isinstance(one, KeyboardInterrupt | Terminated):
            eval("None")  # else Python remembers that MONAI's eval was interrupted, and ends by SIGINT without a status
            return INTERRUPTED if isinstance(one, KeyboardInterrupt) else TERMINATED
    return None


def one_line(error: BaseException) -> str:
    """Say an error in one line: a labelmine error beneath whatever wraps it, else the first that is not MONAI's wrap.

    Example:
        >>> one_line(ZeroDivisionError("division by zero"))
        'ZeroDivisionError: division by zero'
    """
    shown = labelmine_cause(error) or _unwrapped(error)
    return f"{type(shown).__name__}: {' '.join(str(shown).split())}".removesuffix(": ")


def labelmine_cause(error: BaseException | None) -> LabelmineError | None:
    """Return the labelmine error beneath what others made of it; None: it is another's.

    What the system says of a file (no room, no right, a share that is gone) becomes one, whoever met it.
    """
    chain = list(_causes(error))
    known = next((one for one in chain if isinstance(one, LabelmineError)), None)
    if known is not None:
        return known
    system = next((one for one in chain if isinstance(one, OSError) and one.errno is not None), None)
    return StorageError.of(system) if system is not None else None


def on_monai_command_line() -> bool:
    """Whether ``python -m monai.bundle`` is the program, and not some other that calls ``monai.bundle.run``."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", None) == "monai.bundle.__main__"


def _unwrapped(error: BaseException) -> BaseException:
    """Go down to what was raised before MONAI said which part of a config it was building."""
    while type(error) is RuntimeError and str(error).startswith("Failed to ") and error.__cause__ is not None:
        error = error.__cause__
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that came before it, also where it was met while the other was handled."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
