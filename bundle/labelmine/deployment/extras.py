"""Packages that only some forms need: imported when asked for, named with the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from labelmine.errors import ConfigError


def extra(module: str, name: str) -> Any:
    """Return a module of the extra ``labelmine[name]``.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f'{module.split(".")[0]} is needed for this and is not there: pip install "labelmine[{name}]"'
        ) from error
