"""The configuration that is being run: MONAI hands neither parser nor workflow to what a config builds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Any, TypeVar

from monai.bundle import ConfigParser

from labelmine.errors import ConfigError

T = TypeVar("T")


def running_parser() -> ConfigParser:
    """Return the parser that is evaluating the config from which this is called.

    Raises:
        ConfigError: Called by no config.
    """
    found = owner_on_stack(ConfigParser)
    if found is None:
        raise ConfigError("expected to be built by a config of the bundle (python -m monai.bundle run), not by hand")
    return found


def owner_on_stack(kind: type[T]) -> T | None:
    """Return the innermost object of a kind whose method is running: the stack is the only way to it."""
    owners = (frame.f_locals.get("self") for frame in callers())
    return next((owner for owner in owners if isinstance(owner, kind)), None)


def callers() -> Iterator[FrameType]:
    """Yield the frames of the call stack, innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def resolved(parser: ConfigParser, name: str) -> Any:
    """Return the value of a top-level key, its expressions evaluated."""
    return parser.ref_resolver.get_resolved_content(name)
