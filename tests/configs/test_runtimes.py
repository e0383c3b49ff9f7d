"""Masks by other programs than torch, and the forms of a student, from the config to files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from labelmine.deployment import StudentFacts
from labelmine.errors import ConfigError
from labelmine.networks import Student
from labelmine.workflows.export import student_forms


def masks_of(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.asarray(Image.open(path)) for path in (folder / "masks").iterdir()}


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Path:
    """A run's folder with its exported files."""
    return Path(shutil.copytree(exported, tmp_path / "run"))


def test_predict_and_evaluate_give_the_same_masks(
    run: Path, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    images = phantom_folder(3, size=48)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(images / "images/wide.png")
    knobs = {"dataset_dir": str(images / "images"), "model_dir": str(run), "device": "cpu"}
    found = {}
    for runtime in ("torch", "onnx", "openvino"):
        run_config("inference", runtime=runtime, output_dir=str(tmp_path / runtime), **knobs)
        found[runtime] = masks_of(tmp_path / runtime)
        assert not (tmp_path / runtime / "onnx").exists()
    assert set(found["torch"]) == {"case_00", "case_01", "case_02", "wide"}
    for name, mask in found["torch"].items():
        assert 0 < (mask > 0).mean() < 1
        for runtime in ("onnx", "openvino"):
            assert (found[runtime][name] != mask).mean() < 0.001
    knobs |= {"dataset_dir": str(images), "output_dir": str(tmp_path / "evaluated")}
    run_config("evaluate", runtime="onnx", **knobs)
    assert json.loads((tmp_path / "evaluated" / "metrics.json").read_text())["student"]["dice"]["n"] == 3


def test_what_is_refused(run: Path, tmp_path: Path, run_config: Any, refused: Any) -> None:
    knobs = {"model_dir": str(run), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    with refused(ConfigError, r"runtime: expected 'torch', 'onnx', 'onnx_int8' or 'openvino'. Got: 'tensorrt'"):
        run_config("inference", runtime="tensorrt", **knobs)
    with refused(ConfigError, "runtime: expected onnx/model_int8.onnx of this student in run, found none. Make it by"):
        run_config("inference", runtime="onnx_int8", **knobs)
    with (
        refused(ConfigError, "int8: needs images to calibrate on, and run is no run that has some; give --dataset_dir"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(student_forms, "export_onnx", copied(run))
        run_config("export", form="onnx", int8=True, model_dir=str(run), output_dir=str(tmp_path / "int8"))


def copied(source: Path) -> Callable[[StudentFacts, Path], Path]:
    """Stand for the export, which takes ten seconds."""
    return lambda facts, path: Path(shutil.copy(source / "onnx" / "model.onnx", path))


def test_int8_is_calibrated_and_measured_on_the_runs_images(
    mined: Any, exported: Path, tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student_forms, "export_onnx", copied(exported))
    out = tmp_path / "onnx"
    run_config("export", form="onnx", int8=True, model_dir=str(mined.folder), output_dir=str(out))
    told = json.loads((out / "export.json").read_text())
    assert told["files"] == ["model.onnx", "model_int8.onnx"]
    split = json.loads((mined.folder / "split.json").read_text())
    assert told["int8"]["calibrated_on"] > 0
    assert told["int8"]["images"] == told["int8"]["images_with_gold"] == len(split["test"])
    assert 0.5 < told["int8"]["dice_with_float"] <= 1
    assert (out / "model_int8.onnx").stat().st_size < (out / "model.onnx").stat().st_size / 2
    assert not [path for path in out.rglob("*") if str(tmp_path).encode() in path.read_bytes()]


def test_openvino_torchscript_and_hub(
    mined: Any, exported: Path, tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student_forms, "export_onnx", copied(exported))
    names = {
        "openvino": ["model.bin", "model.xml"],
        "torchscript": ["model.ts"],
        "hub": ["README.md", "config.json", "model.safetensors"],
    }
    for form, files in names.items():
        out = tmp_path / form
        run_config("export", form=form, model_dir=str(mined.folder), output_dir=str(out), licence="CC-BY-4.0")
        told = json.loads((out / "export.json").read_text())
        assert told["files"] == files
        assert told["licence"] == "CC-BY-4.0"
        assert sorted(path.name for path in out.iterdir()) == sorted([*files, "export.json"])
        assert not [path for path in out.iterdir() if str(mined.folder).encode() in path.read_bytes()]
    dice = mined.metrics[mined.metrics["kept"]]["dice"]["mean"]
    card = ModelCard.load(tmp_path / "hub" / "README.md")
    assert card.data.eval_results[0].metric_value == pytest.approx(dice, abs=1e-4)
    assert (
        Student.load(tmp_path / "hub" / "model.safetensors")[1] == Student.load(mined.folder / "model.safetensors")[1]
    )
