"""The bundle's folder, and the guard against mistyped overrides in real MONAI runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

import labelmine
from labelmine.bundle import bundle_root, refuse_unknown_overrides, say_error_last
from labelmine.errors import ConfigError

# MONAI warns at every run that a config is code.
pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")

BASE = """
epochs: 1
learning_rate: 1.0e-3
out_file: out.txt
classes: {lesion: 1}
image_file: "$@out_file"
imports: ["$import pathlib"]
doubled: "$@epochs * 2"
net: {_target_: torch.nn.Linear, in_features: 2, out_features: 1}
initialize: [{_target_: labelmine.bundle.refuse_unknown_overrides}]
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


def run(folder: Path, *names: str, **overrides: Any) -> str:
    out = folder / "out.txt"
    files = [str(folder / name) for name in names or ("base.yaml",)]
    monai.bundle.run(config_file=files, out_file=str(out), **overrides)
    return out.read_text()


def refusal(folder: Path, *names: str, **overrides: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        run(folder, *names, **overrides)
    assert isinstance(caught.value.__cause__, ConfigError)
    return str(caught.value.__cause__)


def test_root_of_the_checkout_holds_the_configs() -> None:
    assert (bundle_root() / "configs" / "metadata.json").is_file()
    assert (bundle_root() / "LICENSE").is_file()


def test_root_is_found_in_a_wheel_and_beside_an_unpacked_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "labelmine"
    monkeypatch.setattr("labelmine.bundle.__file__", str(package / "bundle.py"))
    with pytest.raises(ConfigError, match=r"expected configs/metadata.json in one of .*reinstall"):
        bundle_root()
    for expected in (tmp_path / "site", package / "_bundle"):
        (expected / "configs").mkdir(parents=True)
        (expected / "configs" / "metadata.json").touch()
        assert bundle_root() == expected


def test_version_is_stated_without_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise labelmine.PackageNotFoundError(name)

    installed = labelmine.__version__
    monkeypatch.setattr(labelmine, "version", missing)
    assert labelmine._find_version() == installed


def test_import_is_light() -> None:
    code = "import sys, labelmine; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_known_overrides_run(configs: Path) -> None:
    assert run(configs) == "2"
    assert run(configs, epochs=3) == "6"
    assert run(configs, "base.yaml", "overlay.yaml", image_size=64) == "2"
    assert run(configs, **{"net::in_features": 4}) == "2"


def test_unknown_override_is_refused_with_nearest_and_knobs(configs: Path) -> None:
    message = refusal(configs, epoch=5)
    assert message == (
        "unknown override 'epoch' (did you mean 'epochs'?): no config file of this run has that key; "
        "the knobs are: epochs, learning_rate, out_file, classes, image_file"
    )


def test_several_unknown_overrides_are_named_together(configs: Path) -> None:
    message = refusal(configs, zzz=1, learning_rat=2)
    assert "'learning_rat' (did you mean 'learning_rate'?), 'zzz': no config file" in message


def test_a_knob_of_an_overlay_is_known_only_with_the_overlay(configs: Path) -> None:
    assert "unknown override 'image_size'" in refusal(configs, image_size=64)
    message = refusal(configs, "base.yaml", "overlay.yaml", imagesize=64)
    assert "did you mean 'image_size'?" in message
    assert message.endswith("classes, image_file, image_size")


def test_args_file_and_tracking_settings_are_understood(configs: Path) -> None:
    args = configs / "args.yaml"
    args.write_text(f"config_file: {configs / 'base.yaml'}\nepochs: 4\nout_file: {configs / 'out.txt'}\n")
    monai.bundle.run(args_file=str(args))
    assert (configs / "out.txt").read_text() == "8"
    tracking = {"handlers_id": {}, "configs": {"experiment_name": "e"}}
    run(configs, tracking=tracking, save_execute_config=False, experiment_name="mine")
    assert "unknown override 'experiment'" in refusal(
        configs, tracking=tracking, save_execute_config=False, experiment="x"
    )


def test_a_workflow_built_by_hand_is_compared_with_its_folder(configs: Path) -> None:
    file = str(configs / "base.yaml")
    ConfigWorkflow(config_file=file, epochs=2).initialize()
    with pytest.raises(RuntimeError) as caught:
        ConfigWorkflow(config_file=file, epoch=2).initialize()
    assert "did you mean 'epochs'?" in str(caught.value.__cause__)


def test_nothing_is_done_outside_of_a_workflow() -> None:
    refuse_unknown_overrides()
    ConfigParser({"a": {"_target_": "labelmine.bundle.refuse_unknown_overrides"}}).get_parsed_content("a")


def test_command_line_ends_with_the_refusal(configs: Path) -> None:
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(configs / "base.yaml"), "--epoch", "5"]
    done = subprocess.run(command, cwd=configs, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not (configs / "out.txt").exists()
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ConfigError: unknown override 'epoch' (did you mean 'epochs'?)")


def test_error_said_last_leaves_other_errors_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    say_error_last()
    hook = sys.excepthook
    say_error_last()
    assert sys.excepthook is hook, "installed once"
    hook(ValueError, ValueError("plain"), None)
    assert capsys.readouterr().err == ""
    wrapped = RuntimeError("Failed to evaluate")
    wrapped.__cause__ = ConfigError("expected this, got that")
    hook(RuntimeError, wrapped, None)
    assert capsys.readouterr().err == "\nConfigError: expected this, got that\n"
