"""Build the zip for MONAI's model zoo: ``uv run scripts/build_bundle.py`` writes ``dist/labelmine_v<version>.zip``.

An unpacked zip runs uninstalled from anywhere, because the package lies beside ``configs/`` and each of its configs
says so first. ``models/model.pt`` and JSON twins are for MONAI's own programs, see ``labelmine.exchange.monai_bundle``.
Two builds of the same tree give the same bytes.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fire

from labelmine.errors import ConfigError
from labelmine.exchange.monai_bundle import METADATA, STUDENT, TWINS, json_twin, student_files

logger = logging.getLogger("build_bundle")

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("configs", "models", "docs")
PACKAGE = Path("bundle/labelmine")
#: MONAI puts the bundle's folder on the path of Python before it runs a config, but after it initializes it: where the
#: package is not installed, a config run from another folder would not find it. The line needs no package itself.
INITIALIZE = "initialize:\n"
FIND_PACKAGE = (
    """  - "$[__import__('sys').path.append(str(f.frame.f_locals['self'].config_root_path.parent)) """
    """for f in __import__('inspect').stack(0) if f.function == '_run_expr']"\n"""
)
# The earliest date a zip can hold; any fixed one would do.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def build_bundle(repository: str | Path = REPOSITORY, out_dir: str | Path = "dist", base_folder: str = "") -> Path:
    """Write the zip.

    Args:
        repository: Checkout to build from.
        out_dir: Where the zip goes, relative to the repository.
        base_folder: Folder inside the zip that holds everything, such as ``labelmine`` for upload to the zoo, whose
            ``download`` expects one; by default the files lie at the zip's root.

    Returns:
        Path of the zip.

    Raises:
        ConfigError: A file that the bundle needs is missing.
    """
    repository = Path(repository)
    version = json.loads((repository / "configs" / "metadata.json").read_text(encoding="utf-8"))["version"]
    target = repository / out_dir / f"labelmine_v{version}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    content = dict(bundle_files(repository))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(str(Path(base_folder) / name), TIMESTAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content[name])
    logger.info("%s: %d files, %.1f MB", target, len(content), target.stat().st_size / 1e6)
    return target


def bundle_files(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name in the bundle and content of each of its files."""
    licence = repository / "LICENSE"
    if not licence.is_file():
        raise ConfigError(f"expected the licence at {licence}, found none; the bundle must carry it")
    yield "LICENSE", licence.read_bytes()
    for folder in FOLDERS:
        for file in _files(repository / folder):
            yield file.relative_to(repository).as_posix(), _findable(file)
    for file in _files(repository / PACKAGE):
        yield file.relative_to((repository / PACKAGE).parent).as_posix(), file.read_bytes()
    if (repository / STUDENT).is_file():
        yield from student_files(repository / STUDENT, repository / METADATA).items()
    for name in TWINS:
        config = repository / "configs" / f"{name}.yaml"
        yield f"configs/{name}.json", json_twin(config, _findable(config) if config.is_file() else None)


def _findable(file: Path) -> bytes:
    """A file of the bundle; a config that is initialized looks for the package beside it first."""
    content = file.read_bytes()
    return (
        content.replace(INITIALIZE.encode(), (INITIALIZE + FIND_PACKAGE).encode())
        if file.suffix == ".yaml"
        else content
    )


def _files(folder: Path) -> list[Path]:
    """Files below a folder, without caches and hidden ones."""
    found = (file for file in folder.rglob("*") if file.is_file() and file.suffix not in {".pyc", ".pyo"})
    return sorted(file for file in found if not any(_is_cache(part) for part in file.relative_to(folder).parts))


def _is_cache(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fire.Fire(build_bundle, serialize=lambda _: None)
