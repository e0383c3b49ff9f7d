from __future__ import annotations

from pathlib import Path
from typing import Any

import monai.bundle
import pytest
from monai.bundle import ConfigWorkflow

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError
from makers import metrics_of

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
