from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigWorkflow

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError
from makers import RunsCode, metrics_of

METADATA = str(bundle_root() / "configs" / "metadata.json")


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, run_config: Any, small: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trained")
    knobs = {**small, "max_epochs": 1, "output_dir": str(folder)}
    run_config("train", **knobs)
    return folder, knobs


def test_files_and_metrics(trained: Any) -> None:
    names = {path.name for path in trained[0].iterdir()}
    assert names >= {"config.yaml", "metrics.json", "model.safetensors", "report", "split.json", "test_supervised.csv"}
    metrics = metrics_of(trained[0])
    assert metrics["kept"] == "supervised"
    assert metrics["supervised"]["dice"]["n"] == metrics["n_gold_test"]
    assert not {"mined", "pseudo_labels"} & set(metrics)


def test_second_start_does_not_train_on(trained: Any, run_config: Any) -> None:
    checkpoint = trained[0] / "supervised" / "checkpoint.pt"
    before, metrics = checkpoint.stat().st_mtime_ns, metrics_of(trained[0])["supervised"]
    run_config("train", **trained[1])
    assert checkpoint.stat().st_mtime_ns == before
    assert metrics_of(trained[0])["supervised"] == metrics


def flip(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)


def put_code(checkpoint: Path) -> None:
    torch.save({"network": RunsCode(checkpoint.with_name("trap"))}, checkpoint)


@pytest.mark.parametrize("damage", [flip, put_code])
def test_a_checkpoint_that_is_another_is_set_aside_and_trained_again_the_same(
    damage: Callable[[Path], None], trained: Any, tmp_path: Path, run_config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained[0], out)
    damage(out / "supervised" / "checkpoint.pt")
    run_config("train", **{**trained[1], "output_dir": str(out)})
    assert "out/supervised/checkpoint.pt: damaged" in caplog.text
    assert (out / "damaged" / "supervised" / "checkpoint.pt").is_file()
    assert not (out / "supervised" / "trap").exists()
    before, after = metrics_of(trained[0]), metrics_of(out)
    assert {name for name in before if before[name] != after[name]} <= {"seconds", "seconds_per_epoch"}
    best = Path("supervised", "best.safetensors")
    assert (out / best).read_bytes() == (trained[0] / best).read_bytes()


def test_changed_settings_are_refused(trained: Any, run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"other settings \(encoder: 'mobilenet_v2' then, 'resnet18' now"):
        run_config("train", **{**trained[1], "encoder": "resnet18"})


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'learning_rat' \(did you mean 'learning_rate'\?\)"):
        run_config("train", learning_rat=1e-3)


def test_it_has_what_monai_expects_of_a_training_workflow(
    tmp_path: Path, config_files: Any, small: dict[str, Any]
) -> None:
    workflow = ConfigWorkflow(
        config_files("train"), METADATA, logging_file=False, workflow_type="train", output_dir=str(tmp_path), **small
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_network_fits_the_metadata(tmp_path: Path, config_files: Any, small: dict[str, Any]) -> None:
    knobs = {key: value for key, value in small.items() if key != "device"}  # the verb has a ``device`` of its own
    monai.bundle.verify_net_in_out(
        "network_def", METADATA, config_files("train"), device="cpu", n=2, output_dir=str(tmp_path), **knobs
    )
