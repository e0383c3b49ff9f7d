"""Cuts folders from text that leaves the machine: a path often names a user, a patient or a ward."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Absolute, home, relative-with-dots and Windows paths. In quotes a path may hold blanks; bare, it ends at one.
_START = r"(?:[A-Za-z]:[\\/](?!/)|\\\\|~[\w.-]*/|\.{1,2}/|/(?=[\w.~-]))"
_QUOTED = re.compile(rf"""(?P<quote>['"])(?:file://)?(?P<path>{_START}.*?)(?P=quote)""")
_BARE = re.compile(rf"""(?<![\w.\\/<])(?:file://)?(?P<path>{_START}[^\s'",;:|<>]*)""")


def without_folders(value: Any) -> Any:
    """Keep the last part of every path inside `value`; text, numbers and names stay as they are.

    Args:
        value: Text, or any nesting of mappings and sequences that holds text.

    Returns:
        The same with mappings as dict and sequences as list.

    >>> without_folders("run --dataset_dir=/home/maria/ward3/polyps --seed 1")
    'run --dataset_dir=polyps --seed 1'
    >>> without_folders({"dataset_dir": "/home/maria/ward 3/polyps", "seed": 1})
    {'dataset_dir': 'polyps', 'seed': 1}
    """
    if isinstance(value, Mapping):
        return {str(key): without_folders(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(entry) for entry in value]
    if not isinstance(value, str):
        return value if value is None or isinstance(value, (bool, int, float)) else without_folders(str(value))
    if re.fullmatch(rf"{_START}[^\n'\"]*", value) and " -" not in value:
        return _last_part(value)
    value = _QUOTED.sub(lambda match: f"{match['quote']}{_last_part(match['path'])}{match['quote']}", value)
    return _BARE.sub(lambda match: _last_part(match["path"]), value)


def _last_part(path: str) -> str:
    parts = [part for part in re.split(r"[\\/]+", path) if part not in ("", ".", "..", "~")]
    return parts[-1] if parts else "."
