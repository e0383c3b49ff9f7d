"""``labelmine init DIR``: copy the bundle's configs, models and docs out of an installed package."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import click

from labelmine.bundle import bundle_root
from labelmine.cli.failures import reported
from labelmine.cli.messages import messages
from labelmine.errors import ConfigError

logger = logging.getLogger(__name__)

_PARTS = ("configs", "models", "docs", "LICENSE")


def init(folder: str) -> None:
    """Copy configs/, models/, docs/ and the licence into a new folder, to be run and changed there.

    Args:
        folder: A folder that does not exist yet or is empty.

    Raises:
        ConfigError: The folder holds files, or its path is a file.
    """
    target = Path(folder).expanduser()
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


@click.command("init", short_help="Copy configs/, models/, docs/ and the licence into a new folder")
@click.argument("folder")
@click.option("--debug", is_flag=True, help="show tracebacks")
def command(folder: str, debug: bool) -> None:
    """Copy configs/, models/, docs/ and the licence into a new folder, to be run and changed there."""
    with messages(debug=debug), reported(debug=debug, resumes=False):
        init(folder)
