"""Encoder weights from files: real ImageNet weights give torchvision's features, other files are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models import mobilenet_v2

from labelmine.bundle import bundle_root
from labelmine.errors import WeightsError
from labelmine.networks import Student
from labelmine.networks.encoder_weights import shipped_imagenet
from labelmine.teachers import CompactTeacher, save_compact_teacher
from labelmine.weights import sha256_of


@pytest.fixture
def imagenet(shared_data: Path) -> Path:
    return next((shared_data / "weights").glob("mobilenet_v2*.safetensors"))


@pytest.mark.shared
def test_real_weights_give_torchvisions_features(imagenet: Path) -> None:
    student = Student(encoder="mobilenet_v2", encoder_weights=str(imagenet)).eval()
    reference = mobilenet_v2(weights=None).eval()
    reference.load_state_dict({k: v.float() for k, v in load_file(imagenet).items()}, strict=False)
    eight_bit = torch.randint(0, 256, (2, 3, 96, 96), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = student.network.encoder((eight_bit / 255 - student.mean) / student.std)
        x = eight_bit / 127.5 - 1  # what the file says its input is
        for index, block in enumerate(reference.features[:18]):
            x = block(x)
            if index in (1, 3, 6, 13):  # strides 2, 4, 8, 16
                torch.testing.assert_close(own[(1, 3, 6, 13).index(index) + 1], x, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(own[5], reference.features[18](x), atol=1e-4, rtol=1e-4)
        fresh = Student(encoder="mobilenet_v2").eval().network.encoder(eight_bit / 127.5 - 1)
    assert not torch.allclose(own[5], fresh[5], atol=1e-2)
    assert len(student._frozen) > 40  # the file's statistics are folded into its convolutions


@pytest.mark.shared
def test_wrong_encoder_for_a_real_file_is_named(imagenet: Path) -> None:
    with pytest.raises(WeightsError, match=rf"{imagenet.name}: \d+ of \d+ weights of encoder 'resnet18' are missing"):
        Student(encoder="resnet18", encoder_weights=str(imagenet))


def encoder_file(path: Path, metadata: dict[str, str] | None = None) -> tuple[Path, dict[str, torch.Tensor]]:
    state = {
        k: v.clone(memory_format=torch.contiguous_format)
        for k, v in Student(encoder="resnet18").network.encoder.state_dict().items()
    }
    for name, value in state.items():
        if name.endswith("running_mean"):
            value += 0.1
    save_file(state, path, metadata=metadata)
    return path, state


@pytest.mark.parametrize(
    ("metadata", "mean", "std"),
    [
        (None, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ({"input": "x/127.5-1, RGB"}, [0.5] * 3, [0.5] * 3),
        ({"mean": json.dumps([0.1, 0.2, 0.3]), "std": json.dumps([1, 2, 3])}, [0.1, 0.2, 0.3], [1, 2, 3]),
    ],
)
def test_normalisation_comes_with_the_file(
    metadata: dict[str, str] | None, mean: list[float], std: list[float], tmp_path: Path
) -> None:
    path, state = encoder_file(tmp_path / "resnet18.safetensors", metadata)
    student = Student(encoder="resnet18", encoder_weights=str(path))
    assert student.mean.flatten().tolist() == pytest.approx(mean)
    assert student.std.flatten().tolist() == pytest.approx(std)
    own = student.network.encoder.state_dict()
    assert all(torch.equal(own[k], v) for k, v in state.items())
    assert student._frozen == []


def test_torch_files_of_tensors_work_too(tmp_path: Path) -> None:
    state = encoder_file(tmp_path / "unused.safetensors")[1]
    torch.save({"state_dict": {**state, "fc.weight": torch.zeros(10, 512)}}, tmp_path / "resnet18.pth")
    student = Student(encoder="resnet18", encoder_weights=str(tmp_path / "resnet18.pth"))
    assert torch.equal(student.network.encoder.conv1.weight, state["conv1.weight"])


def test_one_weight_of_another_shape_is_named(tmp_path: Path) -> None:
    path, state = encoder_file(tmp_path / "resnet18.safetensors")
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"1 of \d+ weights of encoder 'resnet18' .* first conv1.weight"):
        Student(encoder="resnet18", encoder_weights=str(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        Student(encoder="resnet18", encoder_weights=str(tmp_path / "nowhere.safetensors"))


def test_a_compact_teachers_encoder_starts_a_student(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = CompactTeacher(64).eval()
    path = save_compact_teacher(teacher, tmp_path / "teacher.safetensors")
    student = Student(encoder="mobilenet_v2", encoder_weights=str(path)).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        own = student.network.encoder((image - student.mean) / student.std)
        theirs = teacher.image_encoder.features[:7](teacher.preprocess(image))
    assert own[3].std() > 0
    torch.testing.assert_close(own[3], theirs, rtol=0.02, atol=0.02 * theirs.std().item())  # half precision on disk
    with pytest.raises(WeightsError, match=r"teacher.safetensors: .* set --encoder to the file's own encoder"):
        Student(encoder="resnet18", encoder_weights=str(path))


@pytest.mark.parametrize("encoder", ["timm-tf_efficientnet_lite0", "timm-tf_efficientnet_lite2"])
def test_imagenet_weights_ship_for_the_default_encoders(encoder: str) -> None:
    path = shipped_imagenet(encoder)
    assert path is not None
    assert sha256_of(path) in (bundle_root() / "models" / "README.md").read_text(encoding="utf-8")
    student, random = (Student(encoder=encoder, encoder_weights=weights) for weights in ("imagenet", None))
    assert student.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)  # what the file says of its input
    state = load_file(path)
    for name, value in student.network.encoder.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, state[name].float())
    assert not torch.equal(random.network.encoder.conv_stem.weight, student.network.encoder.conv_stem.weight)


def test_other_encoders_ship_none() -> None:
    assert shipped_imagenet("resnet34") is None
