"""A reviewer made of hidden gold, who goes through labels as a person does on the page; for studies, no browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from labelmine.errors import DataError
from labelmine.exchange.decisions import SAME_DICE, Decision, mask_dice
from labelmine.prompts.simulation import components, outer_box
from labelmine.review.session import ReviewSession

Gold = Callable[[str], NDArray[np.bool_]]


@dataclass(frozen=True)
class Habits:
    """How a simulated reviewer works; the times are our choice, and stand for someone who knows the page.

    Attributes:
        look: Seconds to judge a label.
        ask: Seconds for a box or a click, answer included.
        draw: Seconds to draw an object by hand where the teacher did not find it.
        clicks: Clicks after the box before they draw.
        enough: Dice with gold from which a mask is taken to be right.
    """

    look: float = 3.0
    ask: float = 3.0
    draw: float = 30.0
    clicks: int = 2
    enough: float = SAME_DICE


class SimulatedReviewer:
    """Judges labels by gold, corrects them by boxes and clicks of the run's teacher, and draws what is left.

    Args:
        session: The review, whose log takes the decisions.
        gold: Gives the mask (K, H, W) of an image by its id.
        habits: How they work.
        name: Who decides, for the log.
    """

    def __init__(
        self, session: ReviewSession, gold: Gold, habits: Habits | None = None, name: str = "simulated"
    ) -> None:
        """Keep the parts."""
        self.session = session
        self.gold = gold
        self.habits = habits or Habits()
        self.name = name

    def review(self, place: int) -> Decision:
        """Decide on a label as the page would: accept it, or correct it."""
        case, label = self.session.cases[place], self.session.cases.label(place)
        gold = self.gold(case.item["id"])
        said: dict[str, Any] = {
            "reviewer": self.name,
            "seen": self.session.case(place, self.name)["seen"],
            "label_sha256": self.session.cases.label_sha256(place),
        }
        if mask_dice(label, gold) >= self.habits.enough:
            return self.session.decide(place, {**said, "verdict": "accepted", "seconds": self.habits.look})
        mask, prompts, tools = self._corrected(place, gold)
        seconds = (
            self.habits.look + self.habits.draw * tools["brush"] + self.habits.ask * (tools["box"] + tools["click"])
        )
        verdict = {"verdict": "corrected", "seconds": seconds, "prompts": prompts, "tools": tools}
        return self.session.decide(place, {**said, **verdict}, mask)

    def _corrected(
        self, place: int, gold: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], list[dict[str, Any]], dict[str, int]]:
        """Return gold as the teacher finds it by box and clicks, objects that it does not find drawn by hand."""
        mask, tools = np.zeros_like(gold), {"box": 0, "click": 0, "brush": 0}
        prompts: list[dict[str, Any]] = []
        for k, channel in enumerate(gold):
            for target in components(channel):
                found, prompt = self._asked(place, k, target, tools)
                prompts.append(prompt)
                if found is None:
                    tools["brush"] += 1
                mask[k] |= target if found is None else found
        return mask, prompts, tools

    def _asked(
        self, place: int, k: int, target: NDArray[np.bool_], tools: dict[str, int]
    ) -> tuple[NDArray[np.bool_] | None, dict[str, Any]]:
        """Return the teacher's mask of an object (None: not good enough after all clicks), and what was asked."""
        box = [float(v) for v in outer_box(target)]
        prompt: dict[str, Any] = {"class": k, "box": box, "points": [], "point_labels": []}
        tools["box"] += 1
        for click in range(self.habits.clicks + 1):
            answer = self.session.ask(place, prompt).mask
            if mask_dice(answer[None], target[None]) >= self.habits.enough:
                return answer, prompt
            if click < self.habits.clicks:
                (x, y), positive = worst_place(answer, target)
                prompt["points"].append([x + 0.5, y + 0.5])
                prompt["point_labels"].append(int(positive))
                tools["click"] += 1
        return None, prompt


def worst_place(mask: NDArray[np.bool_], gold: NDArray[np.bool_]) -> tuple[tuple[int, int], bool]:
    """Return (x, y) deepest in the largest error of a mask (H, W), and whether gold is there: where a person clicks.

    Raises:
        DataError: There is no error.
    """
    errors = [(part, kind) for kind in (True, False) for part in components((gold if kind else mask) & (mask != gold))]
    if not errors:
        raise DataError("mask: expected one that differs from gold")
    part, positive = max(errors, key=lambda error: int(error[0].sum()))
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return (int(x), int(y)), positive


def curve(reviewed: pd.DataFrame, order: Sequence[int]) -> pd.DataFrame:
    """Return how good all labels are, review by review.

    Args:
        reviewed: A row per label: ``before`` and ``after``, its Dice with gold, and ``seconds`` that its review takes.
        order: In which labels are reviewed, row numbers.

    Returns:
        Rows from none to all reviewed: ``reviews``, ``minutes`` so far, ``dice``, the mean of all labels then.

    Example:
        >>> rows = pd.DataFrame({"before": [0.2, 0.8], "after": [1.0, 0.8], "seconds": [30, 30]})
        >>> curve(rows, [1, 0])["dice"].tolist()
        [0.5, 0.5, 0.9]
    """
    rows = reviewed.iloc[list(order)]
    gain = (rows["after"] - rows["before"]).to_numpy()
    return pd.DataFrame(
        {
            "reviews": np.arange(len(rows) + 1),
            "minutes": np.concatenate([[0.0], np.cumsum(rows["seconds"].to_numpy()) / 60]),
            "dice": reviewed["before"].mean() + np.concatenate([[0.0], np.cumsum(gain)]) / max(len(rows), 1),
        }
    )


def review_all(reviewer: SimulatedReviewer, places: Iterable[int]) -> pd.DataFrame:
    """Return what ``curve`` takes, of labels that are reviewed one after the other; ``expected`` is their score."""
    rows = []
    for place in places:
        case, label = reviewer.session.cases[place], reviewer.session.cases.label(place)
        gold = reviewer.gold(case.item["id"])
        decision = reviewer.review(place)
        after = mask_dice(reviewer.session.log.mask(decision), gold)
        facts = {"id": case.item["id"], "expected": 1 - case.gain, "verdict": decision.verdict}
        before = mask_dice(label, gold)
        rows.append({**facts, "before": before, "after": after, "seconds": decision.seconds, **decision.tools})
    return pd.DataFrame(rows)
