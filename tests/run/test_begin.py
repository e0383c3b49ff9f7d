"""The first step of a workflow, in real MONAI runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from labelmine.errors import ConfigError
from labelmine.run.begin import begin
from labelmine.run.words import with_values

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")

CONFIG = """
out_file: null
seed: 7
gate: true
window: [40, 400]
folder: here
kinds: [points]
teacher: {_target_: builtins.dict, multimask: true, name: sam}
built: "$'gated' if @gate else 'open'"
imports: ["$import pathlib", "$import json", "$import random"]
initialize:
  - {_target_: labelmine.run.begin.begin}
run:
  - "$pathlib.Path(@out_file).write_text(json.dumps([@built, @gate, @window, @folder, @kinds, @teacher]))"
  - "$pathlib.Path(@out_file).with_suffix('.drawn').write_text(str(random.random()))"
"""
AS_WRITTEN = ["gated", True, [40, 400], "here", ["points"], {"multimask": True, "name": "sam"}]


@pytest.fixture
def told(tmp_path: Path) -> Callable[..., Any]:
    """``told(gate="false")`` runs the workflow with overrides and returns the values that it saw."""
    (tmp_path / "metadata.json").write_text('{"version": "0.0.1", "network_data_format": {}}')
    (tmp_path / "config.yaml").write_text(CONFIG)

    def run(**overrides: Any) -> Any:
        out = tmp_path / "out.json"
        monai.bundle.run(config_file=str(tmp_path / "config.yaml"), out_file=str(out), **overrides)
        return json.loads(out.read_text())

    return run


@pytest.mark.parametrize("word", ["false", "False", "FALSE", False])
def test_a_word_that_means_false_is_false_wherever_it_is_used(told: Callable[..., Any], word: Any) -> None:
    assert told(gate=word) == ["open", False, *AS_WRITTEN[2:]]


def test_null_and_true_are_values_too(told: Callable[..., Any]) -> None:
    assert told(window="null", gate="true", folder="None") == ["gated", True, None, "None", *AS_WRITTEN[4:]]


def test_words_within_objects_and_lists_are_values(told: Callable[..., Any]) -> None:
    seen = told(**{"teacher::multimask": "false", "teacher::name": "null", "kinds": ["box", "null", "falsehood"]})
    assert seen == [*AS_WRITTEN[:4], ["box", None, "falsehood"], {"multimask": False, "name": None}]


def test_without_overrides_nothing_changes(told: Callable[..., Any]) -> None:
    assert told() == AS_WRITTEN


def test_all_randomness_is_seeded_by_the_knob(told: Callable[..., Any], tmp_path: Path) -> None:
    drawn = []
    for seed in (7, 7, 8):
        told(seed=seed)
        drawn.append((tmp_path / "out.drawn").read_text())
    assert drawn[0] == drawn[1] == str(random.Random(7).random())
    assert drawn[2] != drawn[0]


def test_unknown_overrides_are_refused_before_anything_is_run(told: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        told(gates="false")
    assert isinstance(caught.value.__cause__, ConfigError)
    assert "did you mean 'gate'?" in str(caught.value.__cause__)
    assert not (tmp_path / "out.json").exists()


def test_by_hand_there_is_nothing_to_begin() -> None:
    with pytest.raises(ConfigError, match="expected to be built by a config of the bundle"):
        begin()


def test_only_whole_words_are_values() -> None:
    config = {"a": ["true", {"b": "NULL"}], "c": "nulls", "d": "", "e": 0, "f": "$None"}
    assert with_values(config) == {"a": [True, {"b": None}], "c": "nulls", "d": "", "e": 0, "f": "$None"}
