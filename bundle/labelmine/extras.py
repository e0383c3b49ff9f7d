"""Packages that only some users need: imported when asked for, named with the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from labelmine.errors import ConfigError


def extra(module: str, name: str, needed: str = "this needs") -> Any:
    """Return a module of the extra ``labelmine[name]``.

    Args:
        module: The module.
        name: Of the extra.
        needed: What needs it, as the message begins.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise ConfigError(f'{needed} {package}, which is not there: pip install "labelmine[{name}]"') from error
