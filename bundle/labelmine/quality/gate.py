"""The gate: on gold that no one was trained on, does the labeler draw better than the student itself?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.errors import DataError
from labelmine.quality.drawn_by import DrawnBy
from labelmine.ranges import check_number

#: Who is compared, the student first.
SOURCES = (DrawnBy.STUDENT, DrawnBy.LABELER, DrawnBy.BLEND)
MIN_IMAGES = 20  # gold images of a size below which all sizes of the class decide together


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Who draws a class, by the size of what the student found.

    Attributes:
        class_names: The K classes.
        size_from: Sizes by name, ascending: the fraction of the image from which an object is called so.
        choices: Per class the source for each size.
        rows: What was compared: ``class``, ``size`` (or ``all``), ``n`` images, mean Dice of each source, ``choice``.
        compared: Whether there was anything to compare; otherwise the labeler is taken at its word.
    """

    class_names: tuple[str, ...]
    size_from: Mapping[str, float]
    choices: tuple[Mapping[str, DrawnBy], ...]
    rows: tuple[Mapping[str, Any], ...] = ()
    compared: bool = True

    @property
    def chosen(self) -> set[DrawnBy]:
        """All sources that draw anything."""
        return {source for choice in self.choices for source in choice.values()}

    def sentence(self) -> str:
        """Say in words what was decided and on which figures."""
        if not self.compared:
            return "The labeler has no answer on held-out gold, so it could not be compared with the student."
        parts = []
        for name, choice in zip(self.class_names, self.choices, strict=True):
            overall = next(row for row in self.rows if row["class"] == name and row["size"] == "all")
            means = ", ".join(f"{source} {overall[source]:.3f}" for source in SOURCES)
            by_size = {source: [s for s, c in choice.items() if c == source] for source in SOURCES}
            who = "; ".join(
                source if len(sizes) == len(choice) else f"{source} for {', '.join(sizes)}"
                for source, sizes in by_size.items()
                if sizes
            )
            parts.append(f"{name}: {means} (n = {overall['n']}): {who}")
        return "Dice on held-out gold, and who labels: " + ". ".join(parts) + "."

    def draw(self, masks: Mapping[DrawnBy, Tensor], inside: Tensor) -> tuple[Tensor, list[list[DrawnBy]]]:
        """Put labels together from the masks of the sources.

        Args:
            masks: (B, K, H, W) in [0, 1] by source; the student's decides about size.
            inside: (B, 1, H, W) bool, False in the padding.

        Returns:
            (B, K, H, W), and per image the source of each class.
        """
        area = area_fraction(masks[DrawnBy.STUDENT], inside)
        sources = [
            [choice[size_name(float(a), self.size_from)] for choice, a in zip(self.choices, image, strict=True)]
            for image in area
        ]
        drawn = [torch.stack([masks[s][b, k] for k, s in enumerate(image)]) for b, image in enumerate(sources)]
        return torch.stack(drawn), sources

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "class_names": list(self.class_names),
            "size_from": dict(self.size_from),
            "choices": [dict(choice) for choice in self.choices],
            "rows": [dict(row) for row in self.rows],
            "compared": self.compared,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Gate:
        """Return what ``to_json`` gave."""
        return cls(
            class_names=tuple(content["class_names"]),
            size_from=content["size_from"],
            choices=tuple({size: DrawnBy(who) for size, who in c.items()} for c in content["choices"]),
            rows=tuple(content["rows"]),
            compared=content["compared"],
        )


def decide(
    table: pd.DataFrame,
    class_names: Sequence[str],
    size_from: Mapping[str, float],
    margin: float = 0.0,
    min_images: int = MIN_IMAGES,
) -> Gate:
    """Choose the best source per class, and per size where gold has enough images of it.

    Args:
        table: One row per image and class: ``class``, ``area`` (fraction of the image that the student's mask covers)
            and the Dice of ``student``, ``labeler`` and ``blend``.
        class_names: The K classes.
        size_from: Sizes by name, ascending; see ``Gate``.
        margin: By how much mean Dice another source must beat the student to take its place.
        min_images: A size with fewer images follows the choice of the whole class.

    Raises:
        ConfigError: When a knob is out of its range.
        DataError: When a class has no row.
    """
    check_number("gate_margin", margin, -1, 1)
    check_number("min_images", min_images, 1, whole=True)
    choices: list[dict[str, DrawnBy]] = []
    rows: list[dict[str, Any]] = []
    for name in class_names:
        of_class = table[table["class"] == name]
        if of_class.empty:
            raise DataError(f"gate: no held-out gold to compare '{name}' on. Give validation images with masks.")
        overall = _best(of_class, margin)
        rows.append(_row(name, "all", of_class, overall))
        sizes = of_class["area"].map(lambda area: size_name(area, size_from))
        choice: dict[str, DrawnBy] = {}
        for size in size_from:
            of_size = of_class[sizes == size]
            choice[size] = _best(of_size, margin) if len(of_size) >= min_images else overall
            if len(of_size):
                rows.append(_row(name, size, of_size, choice[size]))
        choices.append(choice)
    return Gate(class_names=tuple(class_names), size_from=dict(size_from), choices=tuple(choices), rows=tuple(rows))


def uncompared_gate(class_names: Sequence[str], size_from: Mapping[str, float]) -> Gate:
    """Return the gate for a labeler that cannot be compared: it draws everything."""
    choices: tuple[dict[str, DrawnBy], ...] = tuple(dict.fromkeys(size_from, DrawnBy.LABELER) for _ in class_names)
    return Gate(class_names=tuple(class_names), size_from=dict(size_from), choices=choices, compared=False)


def blended(labeler: Tensor, student: Tensor, exclusive: bool) -> Tensor:
    """Return the mean of two masks (B, K, H, W) in [0, 1], one class a pixel where classes exclude each other."""
    mean = (labeler + student) / 2
    return mean * F.one_hot(mean.argmax(1), mean.shape[1]).movedim(-1, 1) if exclusive else mean


def area_fraction(mask: Tensor, inside: Tensor) -> Tensor:
    """Return (B, K): the part of the image, padding left out, that a mask (B, K, H, W) covers."""
    return (mask > 0.5).sum((-2, -1)) / inside.sum((-2, -1)).clamp(min=1)


def size_name(area: float, size_from: Mapping[str, float]) -> str:
    """Return the name of the last size whose limit ``area`` reaches."""
    names = list(size_from)
    return names[max(int(np.searchsorted(list(size_from.values()), area, side="right")) - 1, 0)]


def _best(table: pd.DataFrame, margin: float) -> DrawnBy:
    mean = table[list(SOURCES)].mean()
    best = max(SOURCES, key=lambda source: (mean[source], source == DrawnBy.STUDENT))
    return best if mean[best] > mean[DrawnBy.STUDENT] + margin else DrawnBy.STUDENT


def _row(name: str, size: str, table: pd.DataFrame, choice: DrawnBy) -> dict[str, Any]:
    means: dict[str, float] = {source.value: round(float(table[source].mean()), 4) for source in SOURCES}
    return {"class": name, "size": size, "n": len(table), **means, "choice": choice}
