"""A small workflow of its own, run as users run those of the bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

BASE = """
epochs: 1
learning_rate: 1.0e-3
out_file: out.txt
classes: {lesion: 1}
image_file: "$@out_file"
imports: ["$import pathlib"]
doubled: "$@epochs * 2"
net: {_target_: torch.nn.Linear, in_features: 2, out_features: 1}
initialize: [{_target_: labelmine.run.begin.begin}]
run: ["$pathlib.Path(@out_file).write_text(str(@doubled))"]
"""
OVERLAY = "image_size: 32\n"


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "base.yaml").write_text(BASE)
    (folder / "overlay.yaml").write_text(OVERLAY)
    (folder / "metadata.json").write_text('{"version": "0.0.1", "network_data_format": {}}')
    return folder


@pytest.fixture
def run(configs: Path) -> Callable[..., str]:
    """``run("base.yaml", epochs=3)`` returns what the workflow wrote."""

    def start(*names: str, **overrides: Any) -> str:
        out = configs / "out.txt"
        files = [str(configs / name) for name in names or ("base.yaml",)]
        monai.bundle.run(config_file=files, out_file=str(out), **overrides)
        return out.read_text()

    return start
