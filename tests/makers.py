"""Small makers and readers that tests of several rooms import: ``from makers import metrics_of``."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from pydicom.data import get_testdata_file

from labelmine.bundle import bundle_root


class Killed(BaseException):
    """Stands for a kill at any moment: nothing catches it."""


class RunsCode:
    """What a pickle of runs code: loading it makes the folder ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def metrics_of(folder: Path) -> dict[str, Any]:
    """What a run wrote into ``metrics.json``."""
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def embedding_chunks(folder: Path) -> list[Path]:
    """Files of an embedding cache that hold embeddings."""
    return sorted(path for path in folder.glob("*/*") if path.name != "zarr.json")


def dicom_file(name: str) -> Path:
    """A file that ships with pydicom."""
    return Path(str(get_testdata_file(name, download=False)))


def loaded_script(name: str) -> ModuleType:
    """A module of ``scripts/``, which is no package."""
    spec = importlib.util.spec_from_file_location(name, bundle_root() / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
