"""The grid of a study: methods x label fractions x seeds, and which cells build on others."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from labelmine.errors import ConfigError

SUPERVISED, PRETRAINING = "supervised", "simclr"
#: Which config a cell runs, and which of its stages ends with the student that is examined.
EXAMINED: dict[str, str] = {"train": "supervised", "mine": "mined", "synthesize": "mixed"}
BaseConfig = Literal["train", "mine", "synthesize", "pretrain_simclr"]
METHOD_KEYS = {"title", "config", "overlays", "knobs", "generator_of"}


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to get a student.

    Attributes:
        key: Short name, for folders and ``--methods``.
        title: Words for people.
        config: Workflow that it runs.
        overlays: Overlays of the workflow, by name (a config of the bundle) or path.
        knobs: What it sets besides, by the names of the workflow's knobs.
        generator_of: The method whose cells train its generator; None: its own do, where its workflow has one.
    """

    key: str
    title: str
    config: BaseConfig = "mine"
    overlays: tuple[str, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    generator_of: Method | None = None

    @property
    def mines(self) -> bool:
        """Whether it needs unlabelled images."""
        return self.config == "mine"

    @property
    def starts_supervised(self) -> bool:
        """Whether its workflow begins with a student on gold alone, which cells may share."""
        return self.config in ("mine", "synthesize")

    @property
    def definition(self) -> dict[str, Any]:
        """What decides its students, JSON-able; the title does not."""
        found = {"config": self.config, "overlays": self.overlays, "knobs": dict(self.knobs)}
        definition: dict[str, Any] = json.loads(json.dumps(found, default=str))
        return definition


@dataclass(frozen=True)
class Cell:
    """A method at a label fraction with a seed.

    Attributes:
        method: The method.
        fraction: Part of the gold that does not test, in (0, 1], or a number of masks; validation counts in it.
        seed: Seed of the draw of gold and of the training.
        needs: Cells whose results it takes over.
    """

    method: Method
    fraction: float
    seed: int
    needs: tuple[Cell, ...] = ()

    @property
    def folder(self) -> PurePosixPath:
        """Where it lies in the study's folder."""
        return PurePosixPath("cells", self.method.key, f"{self.fraction:g}", f"seed_{self.seed}")

    @property
    def definition(self) -> dict[str, dict[str, Any]]:
        """Definitions of its method and of those that it builds on, by key."""
        return {cell.method.key: cell.method.definition for cell in with_needs(self)}

    @property
    def name(self) -> str:
        """What people call it: ``one_time, 0.1, seed 0``."""
        return f"{self.method.key}, {self.fraction:g}, seed {self.seed}"


def read_methods(catalogue: Mapping[str, Mapping[str, Any]], chosen: Sequence[str]) -> list[Method]:
    """Return the chosen methods of a catalogue, in the order chosen; each once.

    Args:
        catalogue: By key, what ``Method`` has: ``title``, ``config``, ``overlays``, ``knobs``,
            ``generator_of`` (a key).
        chosen: Keys.

    Raises:
        ConfigError: An unknown method, an entry that is no method, or none chosen.
    """
    if not chosen:
        raise ConfigError(f"methods: expected one or more of {', '.join(catalogue)}; got none")
    methods = []
    for key in dict.fromkeys(chosen):
        methods.append(_method(key, catalogue))
    return methods


def build_grid(
    methods: Sequence[Method],
    fractions: Sequence[float],
    seeds: Sequence[int],
    supervised: Method,
    pretraining: Method | None = None,
) -> list[Cell]:
    """Return all cells in the order they should run: fraction by fraction within a seed, what is needed first.

    Args:
        methods: The methods compared.
        fractions: See ``Cell``.
        seeds: Seeds; each fraction has every one.
        supervised: Trains the first student that mining methods share; where one of them needs it, its cells join.
        pretraining: Makes the encoder that all students start from; None: they start as their knobs say.

    Raises:
        ConfigError: No fractions or seeds.
    """
    for name, values in (("fractions", fractions), ("seeds", seeds)):
        if not values:
            raise ConfigError(f"{name}: expected one value or more, for example [0.1]; got none")
    cells: dict[PurePosixPath, Cell] = {}
    for seed in dict.fromkeys(seeds):
        for fraction in dict.fromkeys(fractions):
            start = (Cell(pretraining, fraction, seed),) if pretraining else ()
            first = Cell(supervised, fraction, seed, start)
            for method in methods:
                needs = (*start, first) if method.starts_supervised else start
                if method.generator_of:
                    needs = (*needs, Cell(method.generator_of, fraction, seed, needs))
                for cell in (*needs, Cell(method, fraction, seed, needs)):
                    cells.setdefault(cell.folder, cell)
    return list(cells.values())


def with_needs(cell: Cell) -> Iterator[Cell]:
    """Yield what a cell needs, and then the cell."""
    for needed in cell.needs:
        yield from with_needs(needed)
    yield cell


def _method(key: str, catalogue: Mapping[str, Mapping[str, Any]]) -> Method:
    if key not in catalogue:
        near = difflib.get_close_matches(key, catalogue, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        raise ConfigError(f"methods: unknown method '{key}'{hint}. Known: {', '.join(catalogue)}")
    entry = catalogue[key]
    if not isinstance(entry, Mapping) or set(entry) - METHOD_KEYS:
        raise ConfigError(f"method '{key}': expected the keys {', '.join(sorted(METHOD_KEYS))}; got {entry!r}")
    config = entry.get("config", "mine")
    if config not in EXAMINED:
        raise ConfigError(f"method '{key}': config is one of {', '.join(EXAMINED)}; got {config!r}")
    maker = str(entry.get("generator_of", ""))
    if maker in catalogue and not config == catalogue[maker].get("config") == "synthesize":
        raise ConfigError(
            f"method '{key}': generator_of names a method with config: synthesize, and is for methods with that config "
            f"alone; got '{maker}'"
        )
    if maker in catalogue and "generator_of" in catalogue[maker]:
        raise ConfigError(f"method '{key}': generator_of: '{maker}' takes another's generator itself; name that one")
    return Method(
        key=key,
        title=entry.get("title", key.replace("_", " ")),
        config=config,
        overlays=tuple(entry.get("overlays", ())),
        knobs=dict(entry.get("knobs", {})),
        generator_of=_method(maker, catalogue) if maker else None,
    )
