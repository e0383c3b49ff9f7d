"""Damage in a run's folder: known before it is used, and made again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from labelmine.atomic import write_whole
from labelmine.checksums import require_sound
from labelmine.errors import DataError
from labelmine.journal import Journal
from labelmine.run.folder import RunFolder, read_settings

DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "gone": lambda path: path.unlink(),
}
every_damage = pytest.mark.parametrize("damage", DAMAGES)


class Workflow:
    """A run of two stages, each of which makes what is not there; ``made`` lists what it made."""

    def __init__(self, folder: Path, settings: dict[str, object] | None = None, weights: bytes = b"weights") -> None:
        self.folder = folder
        self.settings = settings or {"seed": 0}
        self.weights = weights
        self.made: list[str] = []

    def run(self) -> list[str]:
        self.made = []
        run = RunFolder(self.folder, self.settings, "mine")
        run.stage("data", lambda: self._make("split.json", b"{}  "))
        run.stage("train", lambda: self._make("supervised/best.safetensors", self.weights))
        run.stage("gate", self._gate)
        run.stage("label", lambda: self._make("labels/masks/a.png", b"mask by " + self.weights))
        run.stage("evaluate", lambda: write_whole(self.folder / "metrics.json", b"[1, 2]"))
        return self.made

    def _make(self, name: str, content: bytes) -> None:
        if not (self.folder / name).is_file():
            self.made.append(name)
            write_whole(self.folder / name, content)

    def _gate(self) -> None:
        if not (self.folder / "gate.json").is_file():
            self._make("gate.csv", b"a,b")
            self._make("gate.json", b"{} ")


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    made = Workflow(tmp_path / "out")
    made.run()
    return made


def test_a_sound_run_does_nothing_again(workflow: Workflow, caplog: pytest.LogCaptureFixture) -> None:
    assert workflow.run() == []
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert not (workflow.folder / "damaged").exists()


@every_damage
@pytest.mark.parametrize("name", ["split.json", "supervised/best.safetensors", "gate.json", "labels/masks/a.png"])
def test_what_is_damaged_is_named_and_made_again(
    name: str, damage: str, workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    path = workflow.folder / name
    sound = path.read_bytes()
    DAMAGES[damage](path)
    left = path.read_bytes() if path.is_file() else None
    assert workflow.run() == [name], "the same again, so that all else stands"
    assert path.read_bytes() == sound
    assert f"out/{name}: " in caplog.text
    kept = workflow.folder / "damaged" / name
    assert (kept.read_bytes() if kept.is_file() else None) == left
    caplog.clear()
    assert workflow.run() == []
    assert "made again" not in caplog.text


@every_damage
def test_a_table_is_made_again_with_the_verdict_that_came_with_it(damage: str, workflow: Workflow) -> None:
    DAMAGES[damage](workflow.folder / "gate.csv")
    assert workflow.run() == ["gate.csv", "gate.json"]


@every_damage
@pytest.mark.parametrize("name", ["seconds.json", "metrics.json"])
def test_what_each_run_writes_anew_is_named(
    name: str, damage: str, workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    DAMAGES[damage](workflow.folder / name)
    assert workflow.run() == []
    assert f"out/{name}: " in caplog.text
    json.loads((workflow.folder / name).read_text())


@every_damage
def test_without_its_settings_a_folder_is_not_taken_up(damage: str, workflow: Workflow) -> None:
    DAMAGES[damage](workflow.folder / "config.yaml")
    with pytest.raises(DataError, match=r"^out/config.yaml: .*Copy it again from where it is whole, or give another"):
        workflow.run()


def test_what_comes_out_otherwise_takes_along_what_was_made_from_it(
    workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    (workflow.folder / "supervised" / "best.safetensors").unlink()
    workflow.weights = b"others"
    assert workflow.run() == ["supervised/best.safetensors", "gate.csv", "gate.json", "labels/masks/a.png"]
    assert "out/supervised/best.safetensors: made again, it came out otherwise" in caplog.text
    assert (workflow.folder / "damaged/labels/masks/a.png").read_bytes() == b"mask by weights"
    assert workflow.run() == []


def test_an_unfinished_stage_may_write_what_it_likes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RunFolder(tmp_path, {}, "mine")
    with pytest.raises(KeyboardInterrupt):
        run.stage("train", lambda: (write_whole(tmp_path / "best.safetensors", b"1"), _stop()))
    RunFolder(tmp_path, {}, "mine").stage("train", lambda: write_whole(tmp_path / "best.safetensors", b"2"))
    assert "otherwise" not in caplog.text
    RunFolder(tmp_path, {}, "mine")
    assert "made again" not in caplog.text


def test_killed_between_the_checksum_and_the_file_the_old_file_is_sound(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: _stop())
        with pytest.raises(KeyboardInterrupt):
            write_whole(workflow.folder / "split.json", b"newer")
    assert workflow.run() == []
    assert "split.json" not in caplog.text


@every_damage
def test_damaged_checksums_condemn_nothing(damage: str, workflow: Workflow) -> None:
    DAMAGES[damage](workflow.folder / "checksums.jsonl")
    assert workflow.run() == []


@pytest.mark.parametrize(
    ("damage", "fault"), {"cut": "32 bytes long, and was 64", "empty": "0 bytes long", "gone": "missing"}.items()
)
def test_a_journal_that_lost_lines_is_named_once(
    damage: str, fault: str, workflow: Workflow, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lines check themselves, but those that are not there cannot."""
    path = workflow.folder / "labels" / "manifest.jsonl"
    RunFolder(workflow.folder, {"seed": 0}, "mine").stage(
        "label", lambda: [Journal(path).append({"a": n}) for n in "12"]
    )
    workflow.run()
    assert "manifest" not in caplog.text
    DAMAGES[damage](path)
    workflow.run()
    assert f"out/labels/manifest.jsonl: {fault}" in caplog.text
    caplog.clear()
    workflow.run()
    assert "manifest" not in caplog.text


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_later_runs_refuse_what_is_damaged(damage: str, workflow: Workflow) -> None:
    best, verdict = workflow.folder / "supervised" / "best.safetensors", workflow.folder / "gate.json"
    require_sound(best, verdict, workflow.folder / "none")
    DAMAGES[damage](best)
    with pytest.raises(DataError, match=r"^out/supervised/best.safetensors: .* it is not what the run wrote"):
        require_sound(best, verdict)
    require_sound(verdict)
    DAMAGES[damage](workflow.folder / "config.yaml")
    with pytest.raises(DataError, match=r"^out/config.yaml: "):
        read_settings(workflow.folder)


def _stop() -> None:
    raise KeyboardInterrupt
