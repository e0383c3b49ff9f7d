"""``python -m labelmine init DIR``: copy the bundle's configs, models and docs out of an installed package."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import fire

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError, LabelmineError

logger = logging.getLogger("labelmine")

_PARTS = ("configs", "models", "docs", "LICENSE")


def init(folder: str) -> None:
    """Copy configs/, models/, docs/ and the licence into a new folder, to be run and changed there.

    Args:
        folder: A folder that does not exist yet or is empty.

    Raises:
        ConfigError: The folder holds files, or its path is a file.
    """
    target = Path(str(folder)).expanduser()  # fire turns a name such as 2024 into a number
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise ConfigError(f"expected a new or empty folder, got {target}, which holds files; choose another name")
    target.mkdir(parents=True, exist_ok=True)
    for name in _PARTS:
        source = bundle_root() / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        elif source.is_file():
            shutil.copy2(source, target / name)
    logger.info("bundle copied; next: cd %s && python -m monai.bundle run --config_file configs/mine.yaml", target)


def main() -> None:
    """Run the command line; an error a user can mend ends with its message and status 1, not with a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        fire.Fire({"init": init}, name="labelmine")
    except LabelmineError as error:
        logger.error("%s: %s", type(error).__name__, error)
        sys.exit(1)


if __name__ == "__main__":
    main()
