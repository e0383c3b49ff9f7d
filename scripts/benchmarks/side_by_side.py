"""Timing callables side by side in one process, and the verdict that every benchmark prints as its last line.

A benchmark is a script beside this one::

    from side_by_side import Comparison, print_verdict, time_side_by_side

    seconds = time_side_by_side({"stock": stock, "labelmine": ours}, rounds=7)
    comparison = Comparison.of(seconds["stock"], seconds["labelmine"])
    print_verdict("decoder", comparison.ratio, bar=3.0, device="cpu", spread=comparison.spread)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from labelmine.progress import progress


@dataclass(frozen=True)
class Comparison:
    """How many times as long one side takes as the other.

    Attributes:
        ratio: Median over the rounds of the seconds of one side by those of the other.
        spread: Smallest and largest ratio of a round.
    """

    ratio: float
    spread: tuple[float, float]

    @classmethod
    def of(cls, numerator: Sequence[float], denominator: Sequence[float]) -> Comparison:
        """Compare round by round: neighbours in time meet the same load, so what slows both cancels.

        Args:
            numerator: Seconds of each round; the stock side for a speed-up, our side for an overhead.
            denominator: Seconds of the same rounds of the other side.

        Raises:
            ValueError: When the sides have different numbers of rounds, or none.
        """
        if not numerator or len(numerator) != len(denominator):
            raise ValueError(f"expected as many rounds on both sides. Got: {len(numerator)} and {len(denominator)}")
        ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
        return cls(median(ratios), (min(ratios), max(ratios)))

    def __str__(self) -> str:
        """Return ratio and spread, for a table's cell."""
        return f"{self.ratio:.2f}x ({self.spread[0]:.2f} to {self.spread[1]:.2f})"


def time_side_by_side(
    sides: Mapping[str, Callable[[], object]], rounds: int = 5, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return each side's wall seconds per round; in a round every side runs once, in turn.

    The order turns round from one round to the next, so that no side always meets the other's warm cache.

    Args:
        sides: What to time, by name. Work on a GPU is waited for.
        rounds: Timed runs of each side.
        warm_up: Untimed runs of each side before them (allocation, compilation).
    """
    for side in sides.values():
        for _ in range(warm_up):
            side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in progress(range(rounds), "rounds", "round", leave=False):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in names:
            seconds[name].append(_seconds(sides[name]))
    return seconds


def print_verdict(name: str, ratio: float, bar: float, device: str, at_most: bool = False, **details: Any) -> bool:
    """Print the benchmark's last line, one JSON object, and return whether the bar is met.

    Args:
        name: The benchmark.
        ratio: What was measured.
        bar: What was asked for.
        device: ``cpu`` or ``cuda``.
        at_most: Whether the bar is an upper bound (an overhead) rather than a lower one (a speed-up).
        **details: More figures, JSON-able.
    """
    met = ratio <= bar if at_most else ratio >= bar
    record = {"name": name, "ratio": round(ratio, 3), "bar": bar, "met": met, "device": device, **details}
    print(json.dumps(record), flush=True)
    return met


def machine() -> str:
    """Return what the figures were measured on, for the table in ``docs/benchmarks.md``."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _seconds(call: Callable[[], object]) -> float:
    _wait_for_gpu()
    start = time.perf_counter()
    call()
    _wait_for_gpu()
    return time.perf_counter() - start


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
