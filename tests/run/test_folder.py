"""The folder of a run: settings, lock and times."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser

from labelmine.atomic import write_whole
from labelmine.errors import ConfigError, LabelmineError
from labelmine.run.folder import RunFolder, read_settings
from labelmine.run.words import literal


def test_settings_are_kept_from_the_first_stage_that_works_on_the_images(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new" / "run", {"seed": 0, "window": None, "kinds": ("box", "mask")}, "mine")
    assert run.stage("data", lambda: 7) == 7
    assert not (run.path / "config.yaml").exists()
    kept = {"workflow": "mine", "seed": 0, "window": None, "kinds": ["box", "mask"]}
    assert run.stage("supervised", lambda: read_settings(run.path)) == kept
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == kept
    RunFolder(run.path, {"seed": 0, "window": None, "kinds": ["box", "mask"]}, "mine")


def test_images_that_were_only_found_bind_to_nothing(tmp_path: Path) -> None:
    RunFolder(tmp_path, {"tau": "typo"}, "mine").stage("data", lambda: None)
    RunFolder(tmp_path, {"tau": "mended"}, "mine").stage("supervised", lambda: None)
    with pytest.raises(ConfigError, match=r"\(tau: 'mended' then, 'typo' now\).*delete the folder to start anew"):
        RunFolder(tmp_path, {"tau": "typo"}, "mine")


def test_a_setting_that_came_or_went_is_another_setting(tmp_path: Path) -> None:
    finished(tmp_path, {"seed": 0})
    with pytest.raises(ConfigError, match=r"tau: None then, 0.5 now"):
        RunFolder(tmp_path, {"seed": 0, "tau": 0.5}, "mine")
    with pytest.raises(ConfigError, match=r"seed: 0 then, None now"):
        RunFolder(tmp_path, {}, "mine")


def test_another_workflow_is_named_and_not_its_settings(tmp_path: Path) -> None:
    finished(tmp_path, {"seed": 0})
    with pytest.raises(ConfigError, match=r"holds a run of mine.yaml, this is train.yaml. Give another --output_dir"):
        RunFolder(tmp_path, {"seed": 0}, "train")


def test_many_changes_are_cut_short(tmp_path: Path) -> None:
    finished(tmp_path, {f"knob_{n}": 0 for n in range(11)})
    with pytest.raises(ConfigError, match=r"knob_7: 0 then, 1 now; and 3 more\)"):
        RunFolder(tmp_path, {f"knob_{n}": 1 for n in range(11)}, "mine")


@pytest.mark.parametrize("content", ["seed: 0\ntau: 0.5\n", "[]\n", ""])
def test_a_folder_of_an_older_labelmine_is_refused_by_name_and_left_alone(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.yaml").write_text(content)
    said = r"old/config.yaml was written by an older labelmine.* Give another --output_dir; the folder stays as it is"
    with pytest.raises(ConfigError, match=said):
        RunFolder(folder, {"seed": 0}, "mine")
    with pytest.raises(ConfigError, match=said):
        read_settings(folder)
    assert (folder / "config.yaml").read_text() == content


def test_settings_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected the output folder of a run, found no config.yaml in it"):
        read_settings(tmp_path)


def test_what_a_run_depends_on_is_part_of_its_settings(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, {"seed": 0}, "label")
    first.depends_on(student_sha256="aaa")
    first.stage("train", lambda: None)
    again = RunFolder(tmp_path, {"seed": 0}, "label")  # the student is not known yet
    again.depends_on(student_sha256="aaa")
    other = RunFolder(tmp_path, {"seed": 0}, "label")
    with pytest.raises(ConfigError, match=r"other settings \(student_sha256: 'aaa' then, 'bbb' now\)"):
        other.depends_on(student_sha256="bbb")
    with pytest.raises(ConfigError, match=r"seed: 0 then, 1 now"):
        RunFolder(tmp_path, {"seed": 1}, "label")


def test_a_run_that_takes_nothing_up_replaces_one_of_its_own_kind_alone(tmp_path: Path) -> None:
    finished(tmp_path, {"seed": 0})
    begun = RunFolder(tmp_path, {"seed": 1}, "mine", anew=True)
    assert begun.seconds == {}
    begun.stage("train", lambda: None)
    assert read_settings(tmp_path) == {"workflow": "mine", "seed": 1}
    with pytest.raises(ConfigError, match=r"holds a run of mine.yaml, this is doctor.yaml"):
        RunFolder(tmp_path, {"seed": 1}, "doctor", anew=True)
    assert read_settings(tmp_path)["workflow"] == "mine"


def test_times_of_interrupted_runs_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.5])
    # Not the module itself: the lock looks at its clock too.
    monkeypatch.setattr("labelmine.run.folder.time", SimpleNamespace(perf_counter=lambda: next(clock)))

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path, {}, "mine").stage("train", killed)
    run = RunFolder(tmp_path, {}, "mine")
    run.stage("train", lambda: None)
    assert run.seconds == RunFolder(tmp_path, {}, "mine").seconds == {"train": 5.5}


def test_what_is_said_stands_in_the_folder_s_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "labelmine")
    ours = logging.getLogger("labelmine")
    gc.collect()  # folders of earlier tests that an error's traceback held
    before = list(ours.handlers)
    for said in ("first", "resumed"):
        run = RunFolder(tmp_path, {}, "mine")
        logging.getLogger("labelmine.data").info(said)
        del run
        gc.collect()
        logging.getLogger("labelmine.data").info("after it")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["INFO labelmine.data: first", "INFO labelmine.data: resumed"]
    assert ours.handlers == before


def test_a_log_whose_folder_is_gone_stops_nobody(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {}, "mine")
    (handler,) = [
        one
        for one in logging.getLogger("labelmine").handlers
        if isinstance(one, logging.FileHandler) and Path(one.baseFilename).parent == run.path
    ]
    handler.close()  # as logging does when it is configured anew; it opens its file again for the next record
    shutil.rmtree(run.path)
    logging.getLogger("labelmine").warning("said to nobody")


def test_a_stage_within_a_stage_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("labelmine.run.folder.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    run = RunFolder(tmp_path, {}, "mine")
    run.stage("train", lambda: run.stage("data", lambda: None))
    assert run.seconds == {"data": 3.0, "train": 7.0}


# Says that it holds the folder, and holds it until its input is closed.
HOLDER = """
import sys
from pathlib import Path
from labelmine.run.lock import lock_folder

lock = lock_folder(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works in the folder ``run``."""
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_works_there(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    host = socket.gethostname()
    said = rf"run: another run works in this folder \(process {holder.pid} on {host}, since .*--output_dir"
    with pytest.raises(ConfigError, match=said):
        RunFolder(tmp_path / "run", {"seed": 0}, "mine")
    RunFolder(tmp_path / "other", {"seed": 0}, "mine")


def test_a_folder_that_is_shared_is_worked_in_by_both(
    holder: subprocess.Popen[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = tmp_path / "run" / "split.json"
    RunFolder(tmp_path / "run", {"seed": 0}, "study", shared=True).stage("cells", lambda: write_whole(written, b"{}"))
    written.unlink()
    RunFolder(tmp_path / "run", {"seed": 0}, "study", shared=True)
    assert "missing" not in caplog.text, "the other process may be about to write it"
    with pytest.raises(ConfigError, match="other settings"):
        RunFolder(tmp_path / "run", {"seed": 1}, "study", shared=True)
    holder.kill()
    holder.wait()
    RunFolder(tmp_path / "run", {"seed": 0}, "study", shared=True)
    assert "run/split.json: missing" in caplog.text


def test_a_process_that_was_killed_holds_nothing(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    run = RunFolder(tmp_path / "run", {"seed": 0}, "mine")
    assert json.loads((run.path / ".lock.json").read_text())["process"] == os.getpid()


def test_a_second_run_of_the_same_process_is_no_second_process(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, {"seed": 0}, "mine")
    first.stage("train", lambda: None)
    assert RunFolder(tmp_path, {"seed": 0}, "mine").settings == first.settings


def finished(folder: Path, settings: dict[str, Any]) -> None:
    RunFolder(folder, settings, "mine").stage("train", lambda: None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", r"file: File exists. A file is where a folder is wanted"),
        ("file/below", r"below: Not a directory. A file is where a folder is wanted"),
        ("x" * 300, r"File name too long. The name, or its path, is too long"),
        ("a\0b", r"output_dir: expected a folder's name, got '.*a\\x00b'"),
    ],
)
def test_odd_folders_are_refused_in_one_line(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabelmineError, match=message) as caught:
        RunFolder(tmp_path / name, {}, "mine")
    assert "\n" not in str(caught.value)


def test_a_name_is_nothing_to_evaluate(tmp_path: Path) -> None:
    names = ["$print('run')", "@seed", "%file::key", "it's", "plain"]
    parser = ConfigParser({f"a{n}": literal(name) for n, name in enumerate(names)} | {"seed": 7})
    assert [parser.get_parsed_content(f"a{n}") for n in range(len(names))] == names
