"""What a prompt search may try: settings of prompts, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from labelmine.errors import ConfigError
from labelmine.prompts.generation import KINDS, Kind

OBJECTS = {"per_component": True, "whole": False}
MASK_CHOICES = {"single": False, "best_of_three": True}


@dataclass(frozen=True, kw_only=True)
class PromptSetting:
    """One way to ask; the knobs are those of ``PromptGenerator``.

    Attributes:
        kinds: Kinds of prompts, in the order of ``KINDS``.
        per_component: One set of prompts per component, or one per image and class.
        margin: Widening of the box.
        tau: Threshold of the student's probability.
        n_points: Positive points per object.
        multimask: Whether the best of the teacher's three masks is taken, or its single one; None: as it is.

    Example:
        >>> setting = PromptSetting(kinds=("box",), per_component=True, margin=0.1, tau=0.5, n_points=3)
        >>> setting.name
        'box, per component, margin 0.1, tau 0.5'
        >>> setting.knobs()["margin"]
        0.1
    """

    kinds: tuple[Kind, ...]
    per_component: bool
    margin: float
    tau: float
    n_points: int
    multimask: bool | None = None

    @property
    def name(self) -> str:
        """The setting in words; what its kinds make no use of is left out."""
        parts = [" + ".join(self.kinds), "per component" if self.per_component else "whole"]
        parts += [f"margin {self.margin:g}"] if "box" in self.kinds else []
        parts += [f"tau {self.tau:g}"]
        parts += [f"n_points {self.n_points}"] if "points" in self.kinds else []
        parts += [] if self.multimask is None else ["best of three masks" if self.multimask else "single mask"]
        return ", ".join(parts)

    def knobs(self) -> dict[str, Any]:
        """Return it as knobs of ``mine.yaml``."""
        return {
            "prompt_kinds": list(self.kinds),
            "n_points": self.n_points,
            "tau": self.tau,
            "margin": self.margin,
            "per_component": self.per_component,
        }


class SearchSpace:
    """The values to try of each knob, around a default.

    Args:
        default: Where the search starts, and what a winner must beat.
        kinds: Kinds of prompts to try, each a list such as ``[points, box]``.
        objects: Of ``per_component`` and ``whole``.
        margins: Values of ``margin``.
        taus: Values of ``tau``.
        n_points: Values of ``n_points``.
        mask_choices: Of ``single`` and ``best_of_three``, for teachers that have the choice (``default.multimask`` is
            not None); others are asked as they are.

    Raises:
        ConfigError: A knob without values, or with one that is unknown.
    """

    def __init__(
        self,
        default: PromptSetting,
        kinds: Sequence[Sequence[Kind]] = (("box",), ("points",), ("points", "box")),
        objects: Sequence[str] = tuple(OBJECTS),
        margins: Sequence[float] = (0.0, 0.1, 0.2),
        taus: Sequence[float] = (0.3, 0.5, 0.7),
        n_points: Sequence[int] = (1, 3),
        mask_choices: Sequence[str] = tuple(MASK_CHOICES),
    ) -> None:
        """Check the values, and put the default's among them."""
        chosen = _known("mask_choices", mask_choices, MASK_CHOICES) if default.multimask is not None else []
        given: dict[str, list[Any]] = {
            "kinds": [ordered_kinds(one) for one in kinds],
            "per_component": _known("objects", objects, OBJECTS),
            "margin": [_number("margins", value, 0, float("inf")) for value in margins],
            "tau": [_number("taus", value, 0, 1) for value in taus],
            "n_points": [int(_number("n_points_tried", value, 1, float("inf"))) for value in n_points],
            "multimask": chosen,
        }
        self.default = _meaningful(default, default)
        self.values = {name: list(dict.fromkeys([getattr(default, name), *found])) for name, found in given.items()}

    def grid(self) -> list[PromptSetting]:
        """All settings that differ in what is asked; the default comes first."""
        names = [field.name for field in fields(PromptSetting)]
        every = (PromptSetting(**dict(zip(names, row, strict=True))) for row in product(*map(self.values.get, names)))  # type: ignore[arg-type]
        return list(dict.fromkeys([self.default, *(_meaningful(one, self.default) for one in every)]))

    def along(self, name: str, start: PromptSetting) -> list[PromptSetting]:
        """``start`` and the settings that differ from it in one knob."""
        moved = (_meaningful(replace(start, **{name: value}), self.default) for value in self.values[name])
        return list(dict.fromkeys([start, *moved]))


def ordered_kinds(kinds: Sequence[str]) -> tuple[Kind, ...]:
    """Return kinds in one order, so that equal ones are told.

    Raises:
        ConfigError: An unknown kind, or none.
    """
    given = [kinds] if isinstance(kinds, str) else list(kinds)
    if not given or set(given) - set(KINDS):
        raise ConfigError(f"kinds_tried: expected lists of {', '.join(KINDS)}, for example [points, box]. Got: {kinds}")
    return tuple(kind for kind in KINDS if kind in given)


def default_setting(
    kinds: Sequence[str],
    per_component: bool,
    margin: float,
    tau: float,
    n_points: int,
    multimask: bool | None = None,
) -> PromptSetting:
    """Return the setting that the knobs of ``mine.yaml`` describe."""
    return PromptSetting(
        kinds=ordered_kinds(kinds),
        per_component=per_component,
        margin=float(margin),
        tau=float(tau),
        n_points=int(n_points),
        multimask=multimask,
    )


def _meaningful(setting: PromptSetting, default: PromptSetting) -> PromptSetting:
    """Set what a setting's kinds make no use of to the default, so that it is not tried in vain."""
    n_points = setting.n_points if "points" in setting.kinds else default.n_points
    return replace(setting, n_points=n_points, margin=setting.margin if "box" in setting.kinds else default.margin)


def _known(knob: str, given: Sequence[str], known: Mapping[str, bool]) -> list[bool]:
    values = [given] if isinstance(given, str) else list(given)
    if not values or set(values) - set(known):
        raise ConfigError(f"{knob}: expected a list of {', '.join(known)}. Got: {given}")
    return [known[value] for value in values]


def _number(knob: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{knob}: expected a list of numbers from {low} to {high}. Got: {value!r}")
    return float(value)
