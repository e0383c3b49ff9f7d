"""What decides the result of a run, derived from its configuration as it was given."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from monai.bundle import ConfigParser

from labelmine.run.config import resolved
from labelmine.run.declared import SECTIONS

#: Knobs that cannot change a result, and why. A run goes on in its folder with others of these.
NO_EFFECT = {
    "output_dir": "the folder itself",
    "device": "where it is computed",
    "bundle_root": "where the bundle lies; the hash of its student is compared",
    "backend": "how ranks talk",
    "num_workers": "who reads",
    "cache_num": "what is kept in memory",
    "embedding_cache": "where embeddings are kept",
    "cache_gb": "how many of them",
    "memory_mb": "how much is compared at once",
    "tracking_uri": "who is told",
    "grid_every": "how often it is looked at",
    "review_budget": "the ranking is written anew at each end",
    "review_diversity": "the ranking is written anew at each end",
    "budget": "the ranking is written anew at each end",
    "host": "where the page is served",
    "port": "where the page is served",
    "browser": "who opens the page",
    "diversity": "the ranking is written anew at each end",
    "store": "whether results go to a PACS besides",
    "strict": "whether a label that comes out otherwise is an error",
    "cell": "which part of a study is run",
    "methods": "cells may be added to a study",
    "fractions": "cells may be added to a study",
    "seeds": "cells may be added to a study",
    "catalogue": "methods may be added to a study; each of its cells keeps its method's definition",
    "baseline": "the page is written anew at each end",
    "workers": "how many cells at a time",
    "threads": "how fast a cell is",
    "gpus": "where cells are computed",
}
#: What MONAI adds to a config for its own sake.
OF_MONAI = frozenset({"_meta_", "tracking", "save_execute_config", "experiment_name", "run_name", "is_not_rank0"})


def derive_settings(parser: ConfigParser, knobs: Collection[str]) -> dict[str, Any]:
    """Return the settings of the run that a parser describes, JSON-able.

    Knobs stand with their values, so that a default and the same value given by hand are equal; seams and wiring stand
    as they are written, overlays and overrides included: a ``_target_`` or a nested value that was replaced shows.

    Args:
        parser: Of the running config.
        knobs: Names of the workflow's knobs.
    """
    left_out = SECTIONS | OF_MONAI | set(NO_EFFECT)
    chosen = [key for key in parser.config if key not in left_out]
    values = {key: resolved(parser, key) if key in knobs else parser.config[key] for key in chosen}
    settings: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return settings


def changes(earlier: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield name, earlier and present value of each setting that differs; nested names are joined by ``::``.

    Example:
        >>> list(changes({"tau": 0.5, "teacher": {"name": "a"}}, {"tau": 0.5, "teacher": {"name": "b"}}))
        [('teacher::name', 'a', 'b')]
    """
    for key in dict.fromkeys([*earlier, *now]):
        before, after = earlier.get(key), now.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from changes(before, after, f"{prefix}{key}::")
        elif before != after or (key in earlier) != (key in now):
            yield f"{prefix}{key}", before, after
