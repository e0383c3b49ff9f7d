"""``dataset.json`` of nnU-Net and of the Medical Segmentation Decathlon: where its images are, and its classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

DATASET_JSON = "dataset.json"
#: Keys of both versions that say nothing about which pixels are gold.
KNOWN_KEYS = frozenset(
    ("name", "description", "reference", "licence", "license", "release", "version", "tensorImageSize", "modality",
     "labels", "numTraining", "numTest", "training", "test", "channel_names", "file_ending", "dataset_name",
     "overwrite_image_reader_writer", "regions_class_order", "converted_by", "relase", "citation")
)  # fmt: skip
#: nnU-Net's name for pixels that nobody labelled.
IGNORE = "ignore"


def is_nnunet(path: Path) -> bool:
    """Whether a file is a ``dataset.json`` of nnU-Net, version 1 or 2."""
    return isinstance(_content(path).get("labels"), Mapping)


def folder_of_dataset_json(source: Path) -> Path:
    """Return the folder in place of a version 2 ``dataset.json``, which lists no files; else the source itself."""
    lists_nothing = is_nnunet(source) and not isinstance(_content(source).get("training"), list)
    return source.parent if lists_nothing and (source.parent / "imagesTr").is_dir() else source


def named_classes(source: Path) -> dict[str, int] | None:
    """Read class names and values from a set's ``dataset.json``.

    Version 1 writes ``{"0": "background", "1": "tumour"}``, version 2 ``{"background": 0, "tumour": 1}``.

    Args:
        source: The set's folder, or a ``dataset.json``.

    Returns:
        Name -> value, without background; ``None`` where there is no such file, or classes are unions of values.
    """
    path = source / DATASET_JSON if source.is_dir() else source
    if not is_nnunet(path):
        return None
    labels = _content(path)["labels"]
    pairs = [(name, value) if not str(name).isdigit() else (value, name) for name, value in labels.items()]
    if not all(isinstance(name, str) and str(value).isdigit() for name, value in pairs):
        return None
    return {name: int(value) for name, value in pairs if int(value) > 0 and name.lower() != IGNORE} or None


def _content(path: Path) -> dict[str, Any]:
    """Read the file; empty where it is none, or cannot be read."""
    return _read(path, path.stat().st_mtime_ns) if path.name == DATASET_JSON and path.is_file() else {}


@lru_cache(maxsize=4)
def _read(path: Path, _changed_ns: int) -> dict[str, Any]:
    """The time keeps stale content out."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
