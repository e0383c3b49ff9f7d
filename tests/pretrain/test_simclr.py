"""SimCLR's encoder is the student's: saved, loaded into a student, it gives the same features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from labelmine.errors import ConfigError, WeightsError
from labelmine.networks import Student
from labelmine.pretrain import SimCLR
from labelmine.teachers import CompactTeacher, save_compact_teacher


def trained(network: SimCLR, steps: int = 2) -> SimCLR:
    """A few large steps that move weights, and statistics where they are not folded."""
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        network.train()(torch.rand(4, 3, 64, 64)).pow(2).mean().backward()
        optimizer.step()
    return network


def features(student: Student, image: torch.Tensor) -> list[torch.Tensor]:
    found: list[torch.Tensor] = student.network.encoder((image - student.mean) / student.std)
    return found


@pytest.fixture(scope="module")
def compact_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    return str(save_compact_teacher(CompactTeacher(64), tmp_path_factory.mktemp("start") / "teacher.safetensors"))


@pytest.fixture(params=["random", "folded", pytest.param("imagenet", marks=pytest.mark.shared)])
def start(request: pytest.FixtureRequest, compact_file: str) -> str | None:
    if request.param == "imagenet":
        folder: Path = request.getfixturevalue("shared_data")
        return str(next((folder / "weights").glob("mobilenet_v2*.safetensors")))
    return compact_file if request.param == "folded" else None


def test_a_student_has_the_pretrained_features(start: str | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SimCLR("mobilenet_v2", start)
    first = network.encoder.features[0][0].weight.clone()
    trained(network)
    assert not torch.equal(network.encoder.features[0][0].weight, first)
    network.save_encoder(tmp_path / "encoder.safetensors")
    student = Student(encoder="mobilenet_v2", encoder_weights=str(tmp_path / "encoder.safetensors"))

    image = torch.rand(2, 3, 64, 64)
    for mode in (False, True):  # in training mode too: folded statistics must be known for what they are
        network.train(mode)
        student.train(mode)
        with torch.no_grad():
            own, theirs = features(student, image), network.encoder((image - network.mean) / network.std)
        for a, b in zip(own, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        assert own[-1].std() > 0
    assert bool(student._frozen) == (start is not None)


def test_all_statistics_of_a_folded_start_stay_folded(compact_file: str) -> None:
    """The compact teacher lacks MobileNetV2's last layer: its statistics must not be the only ones that live."""
    network = trained(SimCLR("mobilenet_v2", compact_file))
    layers = [m for m in network.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(not m.training and (m.running_mean == 0).all() and (m.running_var == 1).all() for m in layers)
    assert network.head[1].training
    network.eval().train()
    assert not any(m.training for m in layers)


def test_the_file_holds_the_encoder_alone_and_says_how_it_was_made(tmp_path: Path) -> None:
    network = SimCLR("resnet18")
    network.save_encoder(tmp_path / "encoder.safetensors", {"b" * 16, "a" * 16}, {"seed": 3, "epochs": 2})
    with safe_open(tmp_path / "encoder.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(network.encoder.state_dict())
        metadata = file.metadata()
    assert json.loads(metadata["mean"]) == pytest.approx([0.485, 0.456, 0.406])
    assert json.loads(metadata["std"]) == pytest.approx([0.229, 0.224, 0.225])
    assert json.loads(metadata["trained_on"]) == ["a" * 16, "b" * 16]
    assert json.loads(metadata["recipe"]) == {"seed": 3, "epochs": 2}
    assert metadata["encoder"] == "resnet18"


def test_normalisation_goes_on_with_the_file(compact_file: str, tmp_path: Path) -> None:
    SimCLR("mobilenet_v2", compact_file).save_encoder(tmp_path / "encoder.safetensors")
    student = Student(encoder="mobilenet_v2", encoder_weights=str(tmp_path / "encoder.safetensors"))
    assert student.mean.flatten().tolist() == student.std.flatten().tolist() == [0.5] * 3


def test_pretraining_goes_on_from_its_own_file(tmp_path: Path) -> None:
    first = trained(SimCLR("resnet18"))
    first.save_encoder(tmp_path / "encoder.safetensors")
    second = SimCLR("resnet18", str(tmp_path / "encoder.safetensors"))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(second.eval().features(image), first.eval().features(image))


def test_features_are_means_of_the_deepest_map() -> None:
    network = SimCLR("resnet18", projection=16).eval()
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        deepest = network.encoder((image - network.mean) / network.std)[-1]
        assert deepest.shape == (2, 512, 2, 3)
        torch.testing.assert_close(network.features(image), deepest.flatten(2).mean(2))
        assert network(image).shape == (2, 16)


def test_a_file_for_another_encoder_is_refused(tmp_path: Path) -> None:
    SimCLR("resnet18").save_encoder(tmp_path / "encoder.safetensors")
    with pytest.raises(WeightsError, match=r"encoder.safetensors: \d+ of \d+ weights of encoder 'mobilenet_v2'"):
        Student(encoder="mobilenet_v2", encoder_weights=str(tmp_path / "encoder.safetensors"))


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="encoder: 'resnet19' is not known"):
        SimCLR("resnet19")
