"""How a correction came out, step by step, so that it can be made again; the page's ``editor.js`` does the same.

A step names its ``tool`` and ``class``. A ``box`` or ``click`` also has the whole prompt that the teacher was asked
(``box``, ``points``, ``point_labels``), ``continues``, whether it is about the object of the step before, and, where a
click began the object, ``at``, its place. ``smooth``, ``fill`` and ``clear`` need no more. ``brush`` and ``eraser``
stand for strokes that nobody kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labelmine.errors import DataError
from labelmine.review.pictures import tidied

ASKED, TIDIED, BY_HAND = ("box", "click"), ("smooth", "fill"), ("brush", "eraser")
TOOLS = (*ASKED, *TIDIED, *BY_HAND, "clear")
#: Steps that one correction may have; what is longer is not kept.
MOST_STEPS = 1000
#: Neighbours of a pixel, corners too.
_AROUND = np.ones((3, 3), dtype=bool)
Mask = NDArray[np.bool_]


def redrawn(
    mask: Mask, steps: Sequence[Mapping[str, Any]], ask: Callable[[Mapping[str, Any]], Mask], exclusive: bool
) -> Mask:
    """Take the steps of a correction again.

    Args:
        mask: (K, H, W) that they began from.
        steps: As ``Decision`` keeps them, none by hand.
        ask: The teacher's mask (H, W) for a prompt.
        exclusive: Whether classes exclude each other.

    Raises:
        DataError: A step that cannot be taken again.

    Example:
        >>> redrawn(np.ones((1, 2, 2), bool), [{"tool": "clear", "class": 0}], lambda prompt: prompt, True).any()
        np.False_
    """
    masks = np.array(mask, dtype=bool)
    base = np.zeros(masks.shape[1:], dtype=bool)
    for step in steps:
        k, tool = int(step["class"]), step["tool"]
        if not 0 <= k < len(masks):
            raise DataError(f"step: expected a class of 0 to {len(masks) - 1}, got {k}")
        if tool in ASKED:
            base = base if step.get("continues") else _left_alone(masks[k], step)
            drawn = base | ask(step)
        elif tool in TIDIED:
            drawn = tidied(masks[k : k + 1], tool)[0]
        elif tool == "clear":
            drawn = np.zeros_like(base)
        else:
            raise DataError(f"step: {tool!r} cannot be taken again")
        if exclusive:
            masks &= ~drawn
        masks[k] = drawn
    return masks


def by_hand(steps: Sequence[Mapping[str, Any]]) -> int:
    """Return how many strokes of brush and eraser there are."""
    return sum(step["tool"] in BY_HAND for step in steps)


def kept_steps(value: Any) -> list[dict[str, Any]]:
    """Return the steps that a page sent with the keys that are known; none where they are not all sound."""
    if not isinstance(value, list) or len(value) > MOST_STEPS:
        return []
    keys = ("tool", "class", "box", "points", "point_labels", "at", "continues")
    if not all(isinstance(row, dict) and _is_sound(row) for row in value):
        return []
    return [{key: row[key] for key in keys if _is_said(row.get(key))} for row in value]


def _is_said(value: Any) -> bool:
    return value is not None and value is not False and value != []


def _is_sound(row: Mapping[str, Any]) -> bool:
    at = row.get("at") or [0, 0]
    placed = isinstance(at, list) and len(at) == 2 and all(isinstance(v, int | float) for v in at)
    return placed and row.get("tool") in TOOLS and type(row.get("class")) is int


def _left_alone(mask: Mask, step: Mapping[str, Any]) -> Mask:
    """Return what of a class (H, W) stays when an object is asked for anew."""
    parts, count = ndimage.label(mask, _AROUND)
    if "at" in step:
        x, y = step["at"]
        if not (0 <= x < mask.shape[1] and 0 <= y < mask.shape[0]):
            raise DataError(f"step: expected a place inside the image, got {step['at']}")
        clicked = parts[int(y), int(x)]
        return np.asarray(mask & (parts != clicked)) if clicked else mask
    x0, y0, x1, y1 = (int(np.floor(v + 0.5)) for v in step["box"])  # as JavaScript rounds
    inside = np.bincount(parts[y0:y1, x0:x1].ravel(), minlength=count + 1)
    mostly = inside > 0.5 * np.bincount(parts.ravel(), minlength=count + 1)
    mostly[0] = False
    return np.asarray(mask & ~mostly[parts])
