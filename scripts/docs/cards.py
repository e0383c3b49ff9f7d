"""Facts of the shipped weights, read from the files: for the model cards and the list of models/."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open

import tables

MODELS = Path(__file__).resolve().parents[2] / "models"


def facts(name: str) -> str:
    """Return a table of what a weights file says of itself."""
    path = MODELS / f"{name}.safetensors"
    with safe_open(path, "np") as file:
        metadata = file.metadata() or {}
        count = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118 (no mapping)
    rows = [
        ("file", f"`models/{path.name}`, {path.stat().st_size / 1e6:.1f} MB, safetensors, no code"),
        ("sha256", f"`{_sha256(path)}`"),
        ("values", f"{count / 1e6:.1f} million"),
    ]
    if "trained_on" in metadata:
        count = len(json.loads(metadata["trained_on"]))
        rows.append(("images that it knows again", f"{count:,}, by the first 64 bits of each file's sha256"))
    rows += [(key, f"`{metadata[key]}`") for key in ("recipe", "labelmine", "origin") if key in metadata]
    return tables.markdown(("fact", "value"), rows)


def weights() -> str:
    """Return the list of the shipped files, each with the title of its card and its sha256."""
    rows = []
    for path in sorted(MODELS.glob("*.safetensors")):
        card = MODELS.parent / "docs" / "models" / f"{path.stem}.md"
        title = next(line for line in card.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
        rows.append((f"`{path.name}`", f"[{title[2:]}](../docs/models/{card.name})", f"`{_sha256(path)}`"))
    return tables.markdown(("file", "card", "sha256"), rows)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


MAKERS: dict[str, Callable[..., str]] = {"facts": facts, "weights": weights}
