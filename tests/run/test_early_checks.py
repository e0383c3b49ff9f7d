"""What is wrong with a configuration is told at once and together, before anything is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from labelmine.errors import ConfigError, LabelmineError, WeightsError
from labelmine.run.knobs import Knobs, Share
from labelmine.run.last_word import labelmine_cause

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")

DONE: list[str] = []


class OwnKnobs(Knobs):
    share: Share
    size: int


class Task:
    def __init__(self, knobs: OwnKnobs) -> None:
        DONE.append("task")
        self.knobs = knobs

    @property
    def exclusive(self) -> bool:
        DONE.append("images are read")
        return True


def part(name: str, weights: str | None = None) -> str:
    DONE.append(name)
    if weights:
        raise WeightsError(f"{name}: expected weights, got {weights!r}")
    return name


CONFIG = """
share: 0.5
size: 3
weights: null
stride: null
spare: null
initialize: [{_target_: labelmine.run.begin.begin}, "$@mining"]
task: {_target_: HERE.Task, knobs: {_target_: HERE.OwnKnobs.of_config}}
teacher: {_target_: HERE.part, name: teacher, weights: "@weights"}
unused: {_target_: HERE.part, name: unused, weights: "@spare"}
labeler:
  _target_: builtins.dict
  teacher: "@teacher"
  exclusive: "$@task.exclusive"
  features: {_target_: HERE.part, name: features, weights: "@stride"}
mining: {_target_: builtins.dict, task: "@task", labeler: "@labeler"}
run: ["$@mining"]
"""


@pytest.fixture
def done(tmp_path: Path) -> Callable[..., list[str]]:
    """``done(share=2)`` runs the workflow and returns what it did."""
    (tmp_path / "metadata.json").write_text(json.dumps({"version": "0.0.1", "network_data_format": {}}))
    (tmp_path / "config.yaml").write_text(CONFIG.replace("HERE", __name__))

    def run(**overrides: Any) -> list[str]:
        DONE.clear()
        monai.bundle.run(config_file=str(tmp_path / "config.yaml"), **overrides)
        return list(DONE)

    return run


def refusal(done: Callable[..., list[str]], **overrides: Any) -> LabelmineError:
    with pytest.raises(RuntimeError) as caught:
        done(**overrides)
    error = labelmine_cause(caught.value)
    assert error is not None
    return error


def test_parts_are_built_once_and_before_images_are_read(done: Callable[..., list[str]]) -> None:
    assert sorted(done()) == sorted(["task", "teacher", "features", "images are read"])
    assert DONE[-1] == "images are read"


def test_all_errors_are_told_together(done: Callable[..., list[str]]) -> None:
    error = refusal(done, share=2, size="large", weights="none.pt", stride="wide")
    assert isinstance(error, ConfigError)
    for words in ("share: expected a number less than", "size: expected a valid integer", "none.pt", "wide"):
        assert words in str(error)
    assert "images are read" not in DONE


def test_an_error_by_itself_stays_what_it_is(done: Callable[..., list[str]]) -> None:
    error = refusal(done, weights="none.pt")
    assert isinstance(error, WeightsError)
    assert str(error) == "teacher: expected weights, got 'none.pt'"
    assert "images are read" not in DONE


def test_what_nothing_needs_is_not_built(done: Callable[..., list[str]]) -> None:
    assert "unused" not in done(spare="none.pt")


def test_another_s_error_is_not_taken_for_ours(done: Callable[..., list[str]]) -> None:
    with pytest.raises(RuntimeError) as caught:
        done(**{"teacher::nmae": "x"})
    assert labelmine_cause(caught.value) is None
