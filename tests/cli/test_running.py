"""Both ways in run the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from labelmine.cli.running import run_configs
from labelmine.errors import LabelmineError

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")

CONFIG = """
out_file: null
split_file: "$'set by default'"
classes: {lesion: 1}
net: {width: 1}
imports: ["$import json", "$import pathlib"]
initialize: [{_target_: labelmine.run.begin.begin}]
run: ["$pathlib.Path(@out_file).write_text(json.dumps([@split_file, @classes, @net]))"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text('{"version": "0.0.1", "network_data_format": {}}')
    (tmp_path / "configs" / "base.yaml").write_text(CONFIG)
    return tmp_path / "configs" / "base.yaml"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, ["set by default", {"lesion": 1}, {"width": 1}]),
        ({"split_file": None, "net::width": 2}, [None, {"lesion": 1}, {"width": 2}]),
        ({"classes": {"a": 1}}, ["set by default", {"a": 1}, {"width": 1}]),
    ],
)
def test_overrides_reach_the_config(config: Path, overrides: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    run_configs([config], {**overrides, "out_file": str(tmp_path / "out.json")})
    assert json.loads((tmp_path / "out.json").read_text()) == expected


def test_overlays_have_the_last_word(config: Path, tmp_path: Path) -> None:
    overlay = config.parent / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"split_file": "overlay"}))
    run_configs([config, overlay], {"out_file": str(tmp_path / "out.json")})
    assert json.loads((tmp_path / "out.json").read_text())[0] == "overlay"


def test_unknown_overrides_are_refused_here_too(config: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_configs([config], {"out_fil": "x"})
    assert isinstance(caught.value.__cause__, LabelmineError)
    assert "did you mean 'out_file'" in str(caught.value.__cause__)
