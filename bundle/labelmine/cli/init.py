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
from labelmine.run.files import MODEL_FILE

logger = logging.getLogger(__name__)

_PARTS = ("configs", "models", "docs", "LICENSE")


def init(folder: str, model_dir: str | None = None) -> None:
    """Copy configs/, models/, docs/ and the licence into a new folder, to be run and changed there.

    Args:
        folder: A folder that does not exist yet or is empty.
        model_dir: Output folder of a mine or train run, whose student takes the place of the one that ships; the files
            that MONAI's own programs want are written as well. None: a copy.

    Raises:
        ConfigError: The folder holds files, or its path is a file.
        WeightsError: No student in ``model_dir``.
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
    if model_dir is not None:
        _take(Path(model_dir).expanduser() / MODEL_FILE, target)
    logger.info("bundle copied; next: cd %s && python -m monai.bundle run --config_file configs/mine.yaml", target)


def _take(student: Path, bundle: Path) -> None:
    """Put a student into a bundle, in the form of MONAI's own programs too."""
    from labelmine.exchange.monai_bundle import METADATA, TWINS, json_twin, student_files  # torch with it

    files = student_files(student, bundle / METADATA)
    twins = {f"configs/{name}.json": json_twin(bundle / "configs" / f"{name}.yaml") for name in TWINS}
    for name, content in {**files, **twins}.items():
        (bundle / name).write_bytes(content)


@click.command("init", short_help="Copy configs/, models/, docs/ and the licence into a new folder")
@click.argument("folder")
@click.option(
    "--model_dir",
    metavar="DIR",
    help="output folder of a mine or train run: a bundle of its student, as MONAI Label and monai.bundle.load take it",
)
@click.option("--debug", is_flag=True, help="show tracebacks")
def command(folder: str, model_dir: str | None, debug: bool) -> None:
    """Copy configs/, models/, docs/ and the licence into a new folder, to be run and changed there."""
    with messages(debug=debug), reported(debug=debug, resumes=False):
        init(folder, model_dir)
