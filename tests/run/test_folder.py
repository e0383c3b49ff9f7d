from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from labelmine.errors import ConfigError
from labelmine.workflows import RunFolder


def test_settings_are_kept_once_a_stage_has_succeeded(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new" / "run", {"seed": 0, "window": None, "kinds": ("box", "mask")})
    assert not (run.path / "config.yaml").exists()
    assert run.stage("data", lambda: 7) == 7
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == {
        "seed": 0, "window": None, "kinds": ["box", "mask"],
    }  # fmt: skip
    RunFolder(run.path, {"seed": 0, "window": None, "kinds": ["box", "mask"]})


def test_a_failed_first_stage_binds_to_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        RunFolder(tmp_path, {"dataset": "typo"}).stage("data", fail)
    RunFolder(tmp_path, {"dataset": "mended"}).stage("data", lambda: None)
    with pytest.raises(ConfigError, match=r"\(dataset: 'mended' then, 'typo' now\).*delete the folder to start anew"):
        RunFolder(tmp_path, {"dataset": "typo"})


def test_a_setting_that_came_or_went_is_another_setting(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"seed": 0}).stage("data", lambda: None)
    with pytest.raises(ConfigError, match=r"tau: None then, 0.5 now"):
        RunFolder(tmp_path, {"seed": 0, "tau": 0.5})


def test_times_of_interrupted_runs_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.5])
    monkeypatch.setattr("labelmine.workflows.run_folder.time.perf_counter", lambda: next(clock))

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path, {}).stage("train", killed)
    run = RunFolder(tmp_path, {})
    run.stage("train", lambda: None)
    assert run.seconds == RunFolder(tmp_path, {}).seconds == {"train": 5.5}
