"""The student: shapes, files, and what it says when a file is not its own."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from labelmine.errors import ConfigError, WeightsError
from labelmine.networks import Student, probabilities

ENCODER = "mobilenet_v2"


@pytest.fixture(scope="module")
def trained() -> Student:
    """A student whose weights and statistics are not those of a fresh one."""
    torch.manual_seed(0)
    student = Student(["polyp", "instrument"], ENCODER, exclusive=True).train()
    student(torch.rand(4, 3, 64, 64))
    return student.eval()


@pytest.mark.parametrize(
    ("classes", "exclusive", "outputs"), [(1, False, 1), (3, False, 3), (1, True, 2), (3, True, 4)]
)
def test_logits_have_a_channel_per_class_and_background_when_exclusive(
    classes: int, exclusive: bool, outputs: int
) -> None:
    student = Student([f"class {k}" for k in range(classes)], "resnet18", exclusive=exclusive).eval()
    logits = student(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, outputs, 64, 96)
    assert probabilities(logits, exclusive).shape == (2, classes, 64, 96)


def test_probabilities_leave_room_for_the_background_when_exclusive() -> None:
    logits = torch.randn(2, 3, 4, 4)
    exclusive = probabilities(logits, True)
    scores = np.exp(logits.double().numpy())
    np.testing.assert_allclose(exclusive, scores[:, 1:] / scores.sum(1, keepdims=True), rtol=1e-5)
    torch.testing.assert_close(probabilities(logits, False), 1 / (1 + torch.exp(-logits)))


def test_images_are_normalised_inside(trained: Student) -> None:
    image = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(trained(image), trained.network((image - mean) / std), rtol=1e-4, atol=1e-4)


def test_saved_student_comes_back_with_its_answers_and_metadata(trained: Student, tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "model.safetensors"
    trained.save(path, image_size=96, note="a test")
    loaded, metadata = Student.load(path)
    image = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(loaded(image), trained(image))
    assert not loaded.training
    assert loaded.class_names == ("polyp", "instrument")
    assert loaded.exclusive
    assert metadata["image_size"] == 96
    assert metadata["note"] == "a test"
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_gradients_reach_every_weight() -> None:
    student = Student(encoder="resnet18").train()
    student(torch.rand(2, 3, 64, 64)).mean().backward()
    assert all(p.grad is not None for p in student.parameters())


def test_unknown_encoder_lists_names_that_work() -> None:
    with pytest.raises(ConfigError, match=r"encoder: 'resnet43' is not known .* Try one of: .*resnet34"):
        Student(encoder="resnet43")


def test_missing_student_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"No student at model.safetensors in .*: give --model_dir"):
        Student.load(tmp_path / "model.safetensors")


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors", metadata={"format": "something"})
    with pytest.raises(
        WeightsError, match=r"other.safetensors holds weights of another model, not a labelmine student"
    ):
        Student.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a weights file at all", None])
def test_damaged_student_is_named(trained: Student, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.safetensors"
    trained.save(path)
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(WeightsError, match=r"model.safetensors .* truncated or no weights file"):
        Student.load(path)


def test_student_with_missing_weights_is_refused(trained: Student, tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "model.safetensors"
    trained.save(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    state = load_file(path)
    state.popitem()
    save_file(state, path, metadata=metadata)
    with pytest.raises(WeightsError, match=r"model.safetensors: the weights do not fit a mobilenet_v2 U-Net\+\+"):
        Student.load(path)


@pytest.mark.parametrize("error", [ConnectionError("no route"), KeyError("Wrong pretrained weights `imagenet`")])
def test_weights_that_cannot_be_fetched_are_explained(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("segmentation_models_pytorch.UnetPlusPlus", fails)
    with pytest.raises(WeightsError, match=r"'imagenet' weights for 'resnet18' could not be fetched .* or null"):
        Student(encoder="resnet18", encoder_weights="imagenet")


def folded_file(path: Path) -> Path:
    """A weights file of the encoder with batch normalisation folded away, as the real one has it."""
    torch.manual_seed(1)
    state = {k: v for k, v in Student(encoder=ENCODER).network.encoder.state_dict().items() if "num_batches" not in k}
    metadata = {"input": "x/127.5-1, RGB"}
    save_file({k: v.half().contiguous() for k, v in state.items()}, path, metadata=metadata)
    return path


def test_folded_batch_norm_stays_frozen_through_training_copies_and_files(tmp_path: Path) -> None:
    student = Student(encoder=ENCODER, encoder_weights=str(folded_file(tmp_path / "encoder.safetensors")))
    student.save(tmp_path / "model.safetensors")
    for model in (student, copy.deepcopy(student), Student.load(tmp_path / "model.safetensors")[0]):
        model.train()
        encoder = [m for m in model.network.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
        decoder = [m for m in model.network.decoder.modules() if isinstance(m, nn.BatchNorm2d)]
        assert not any(m.training for m in encoder)
        assert all(m.training for m in decoder)
        model(torch.rand(2, 3, 64, 64))
        assert all((m.running_mean == 0).all() for m in encoder)
        assert model.mean.flatten().tolist() == [0.5] * 3


def test_a_fresh_student_trains_its_batch_norm() -> None:
    student = Student(encoder=ENCODER).train()
    assert all(m.training for m in student.modules())
