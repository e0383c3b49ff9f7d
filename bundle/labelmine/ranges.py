"""A number that a knob cannot take is refused by the knob's name, with its range, before anything is done with it."""

from __future__ import annotations

import math
from numbers import Integral, Real

from labelmine.errors import ConfigError


def check_number(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    whole: bool = False,
    open_low: bool = False,
    open_high: bool = False,
    hint: str = "",
) -> None:
    """Refuse what is no number in a range; words, booleans and NaN are none.

    Args:
        name: The knob.
        value: What it was given.
        low: Smallest value.
        high: Largest value.
        whole: Whether it must be a whole number.
        open_low: Whether ``low`` itself is refused.
        open_high: Whether ``high`` itself is refused.
        hint: What to do, said behind the range.

    Raises:
        ConfigError: Something else.

    Example:
        >>> check_number("tau", 1.5, 0, 1, open_low=True, open_high=True)
        Traceback (most recent call last):
        labelmine.errors.ConfigError: tau: expected a number in (0, 1). Got: 1.5
    """
    number = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
    if number and _inside(float(value), low, high, open_low, open_high):  # type: ignore[arg-type]
        return
    kind = "a whole number" if whole else "a number"
    said = f"{kind} {_interval(low, high, open_low, open_high)}{hint and ', '}{hint}"
    raise ConfigError(f"{name}: expected {said.rstrip()}. Got: {value!r}")


def _inside(value: float, low: float, high: float, open_low: bool, open_high: bool) -> bool:
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    return above and below


def _interval(low: float, high: float, open_low: bool, open_high: bool) -> str:
    if math.isinf(high):
        return "" if math.isinf(low) else f"above {low:g}" if open_low else f"of {low:g} or more"
    return f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
