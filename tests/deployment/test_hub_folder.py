"""The folder for the Hugging Face hub: a card with data, licence, figures and limits, and the weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from labelmine.deployment.hub_folder import write_hub_folder
from labelmine.errors import ConfigError
from labelmine.networks import Student
from labelmine.teachers import CompactTeacher, build_compact_teacher, save_compact_teacher
from labelmine.weights import sha256_of

SCORES = {"mean": 0.8123, "std": 0.1, "n": 20, "median": 0.85, "ci95": [0.75, 0.87]}
FIGURES = {
    "dataset": "polyps", "seed": 3, "n_gold": 12, "n_gold_val": 6, "n_gold_test": 20, "n_unlabeled": 50,
    "kept": "mined", "supervised": {"dice": {**SCORES, "mean": 0.5}, "iou": SCORES},
    "mined": {"dice": SCORES, "iou": SCORES},
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run of Maria"
    Student(["polyp", "ulcer"], "mobilenet_v2").save(folder / "model.safetensors", image_size=64)
    return folder


def written(run: Path, tmp_path: Path, licence: str = "research use only") -> tuple[ModelCard, dict[str, object]]:
    write_hub_folder(run, tmp_path / "hub", licence)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "hub").iterdir())
    assert b"Maria" not in everything
    assert sorted(path.name for path in (tmp_path / "hub").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    return ModelCard.load(tmp_path / "hub" / "README.md"), json.loads((tmp_path / "hub" / "config.json").read_text())


def test_a_mined_student(run: Path, tmp_path: Path) -> None:
    (run / "metrics.json").write_text(json.dumps(FIGURES))
    card, config = written(run, tmp_path)
    assert config["model_type"] == "labelmine-student"
    assert config["class_names"] == ["polyp", "ulcer"]
    assert config["image_size"] == 64
    assert config["student_sha256"] == sha256_of(tmp_path / "hub" / "model.safetensors")
    told = card.data.to_dict()
    assert told["license"] == "other"
    assert told["license_name"] == "research use only"
    assert told["pipeline_tag"] == "image-segmentation"
    result = told["model-index"][0]["results"][0]
    assert result["dataset"]["name"] == "polyps"
    assert [(one["type"], one["value"]) for one in result["metrics"]] == [("dice", 0.8123), ("iou", 0.8123)]
    assert "12 images with expert masks, and pseudo labels of up to 50 without; 6 further" in " ".join(
        card.text.split()
    )
    assert "| Dice | 0.812 | 0.750 to 0.870 | 0.850 |" in card.text
    assert "On those 20 images" in card.text
    for title in ("Intended use", "Use", "Data", "Figures", "Limits", "Licence", "Files"):
        assert f"\n## {title}\n" in card.text
    assert Student.load(tmp_path / "hub" / "model.safetensors")[1]["class_names"] == ["polyp", "ulcer"]


def test_without_figures_none_are_claimed(run: Path, tmp_path: Path) -> None:
    card, _ = written(run, tmp_path, "CC-BY-4.0")
    assert card.data.license == "cc-by-4.0"
    assert "model-index" not in card.data.to_dict()
    assert "None are known: measure it on your own images." in card.text
    assert "says nothing of its images" in card.text
    assert "Weights: CC-BY-4.0." in card.text


def test_a_compact_teacher(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = tmp_path / "seen.png"
    image.write_bytes(b"any")
    run = tmp_path / "run"
    save_compact_teacher(CompactTeacher(64), run / "teacher.safetensors", [image], {"seed": 0})
    card, config = written(run, tmp_path)
    assert config["model_type"] == "labelmine-compact-teacher"
    assert config["n_images"] == 1
    assert card.data.pipeline_tag == "mask-generation"
    assert "Trained on 1 images" in card.text
    teacher = build_compact_teacher(str(tmp_path / "hub"))
    assert teacher.image_size == 64
    assert teacher.weights_sha256 == config["teacher_sha256"]


def test_a_run_that_trained_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected model.safetensors or teacher.safetensors in tmp.*|found neither"):
        write_hub_folder(tmp_path, tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
