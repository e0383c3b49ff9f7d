"""Figures in words, the same on every page and in every log: what is not known is a dash, never ``nan``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

UNKNOWN = "\N{EN DASH}"


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a figure."""
    return value is not None and math.isfinite(value)


def number(value: float | None) -> str:
    """Three decimals, or a dash where the figure is not known."""
    return f"{value:.3f}" if known(value) else UNKNOWN


def signed(value: float | None) -> str:
    """Three decimals with a plus or a minus, or a dash where the figure is not known."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}") if known(value) else UNKNOWN


def interval(ends: Sequence[float | None], form: Callable[[float | None], str] = number) -> str:
    """``0.651 to 0.742``."""
    return f"{form(ends[0])} to {form(ends[1])}" if all(map(known, ends)) else UNKNOWN


def interval_note(ends: Sequence[float | None], form: Callable[[float | None], str] = number) -> str:
    """`` (95 % interval 0.651 to 0.742)``, or nothing where it is not known."""
    return f" (95 % interval {interval(ends, form)})" if all(map(known, ends)) else ""


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def percent(fraction: float) -> str:
    """``12.5 %``."""
    return f"{100 * fraction:.3g} %"


def count(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
