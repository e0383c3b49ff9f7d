"""Build the zip for MONAI's model zoo: ``uv run scripts/build_bundle.py`` writes ``dist/labelmine_v<version>.zip``.

An unpacked zip runs uninstalled from its root, because the package lies beside ``configs/``. Two builds of the same
tree give the same bytes.
"""

from __future__ import annotations

import json
import logging
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fire
from monai.bundle import ConfigParser

from labelmine.errors import ConfigError

logger = logging.getLogger("build_bundle")

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("configs", "models", "docs")
PACKAGE = Path("bundle/labelmine")
# monai.bundle.load() reads these as JSON only; MONAI Label takes either.
TWINS = ("train", "inference")
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
            yield file.relative_to(repository).as_posix(), file.read_bytes()
    for file in _files(repository / PACKAGE):
        yield file.relative_to((repository / PACKAGE).parent).as_posix(), file.read_bytes()
    for name in TWINS:
        yield f"configs/{name}.json", json_twin(repository / "configs" / f"{name}.yaml")


def json_twin(config: Path) -> bytes:
    """The JSON of a YAML config, as MONAI writes it."""
    if not config.is_file():
        raise ConfigError(f"expected the config {config}, found none; the zip carries a JSON twin of it")
    with tempfile.TemporaryDirectory() as folder:
        twin = Path(folder) / "twin.json"
        ConfigParser.export_config_file(ConfigParser.load_config_file(config), str(twin), fmt="json", indent=4)
        return twin.read_bytes()


def _files(folder: Path) -> list[Path]:
    """Files below a folder, without caches and hidden ones."""
    found = (file for file in folder.rglob("*") if file.is_file() and file.suffix not in {".pyc", ".pyo"})
    return sorted(file for file in found if not any(_is_cache(part) for part in file.relative_to(folder).parts))


def _is_cache(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fire.Fire(build_bundle, serialize=lambda _: None)
