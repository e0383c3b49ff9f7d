"""``labelmine init``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labelmine.bundle import bundle_root
from labelmine.cli import main
from labelmine.cli.init import init
from labelmine.errors import ConfigError
from labelmine.networks import Student


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "installed"
    for name in (
        "configs/mine.yaml",
        "configs/__pycache__/x.pyc",
        "models/a.safetensors",
        "docs/guide/a.md",
        "LICENSE",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    monkeypatch.setattr("labelmine.cli.init.bundle_root", lambda: root)
    return root


def test_init_copies_the_bundle_and_logs_the_next_command(
    installed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "folder"
    with caplog.at_level("INFO"):
        init(str(target))
    copied = sorted(file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file())
    assert copied == ["LICENSE", "configs/mine.yaml", "docs/guide/a.md", "models/a.safetensors"]
    assert f"cd {target} && python -m monai.bundle run --config_file configs/mine.yaml" in caplog.text
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("installed")
def test_init_refuses_a_folder_with_files_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for target in (tmp_path / "used", tmp_path / "used" / "file"):
        with pytest.raises(ConfigError, match=r"expected a new or empty folder, got .*used"):
            init(str(target))


@pytest.mark.usefixtures("installed")
def test_the_command_ends_with_the_message_instead_of_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        main(["init", str(tmp_path)])
    assert caught.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("ConfigError: expected a new or empty folder")


def test_command_copies_this_checkout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labelmine", "init", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "python -m monai.bundle run" in done.stderr
    assert (tmp_path / "out" / "configs" / "metadata.json").read_bytes() == (
        bundle_root() / "configs" / "metadata.json"
    ).read_bytes()


def test_init_takes_the_student_of_a_run_and_writes_what_monai_s_programs_want(tmp_path: Path) -> None:
    Student(["lesion"], encoder="mobilenet_v2").save(tmp_path / "run" / "model.safetensors", image_size=64)
    init(str(tmp_path / "out"), model_dir=str(tmp_path / "run"))
    written = {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*")}
    assert written >= {"models/model.pt", "configs/train.json", "configs/inference.json", "docs/README.md"}
    assert (tmp_path / "out/models/model.safetensors").read_bytes() == (tmp_path / "run/model.safetensors").read_bytes()
    metadata = json.loads((tmp_path / "out/configs/metadata.json").read_text())
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "lesion"}
