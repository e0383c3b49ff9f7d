from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor, nn

from labelmine.errors import WeightsError
from labelmine.teachers import CompactTeacher, build_compact_teacher, save_compact_teacher
from labelmine.workflows.synthesize import FeatureNetwork, build_feature_network


class Recorder(nn.Module):
    """Stands for Inception: keeps what it is shown, and answers with each channel's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.fc: nn.Module = nn.Linear(3, 2)
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images)
        answer: Tensor = self.fc(images.mean((-2, -1)))
        return answer


def test_features_do_not_depend_on_how_many_go_at_a_time() -> None:
    sizes: list[int] = []

    def extract(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.mean((-2, -1))

    images = torch.rand(5, 3, 8, 8, requires_grad=True)
    features = FeatureNetwork("means", extract)(images, batch_size=2)
    assert sizes == [2, 2, 1]
    assert not features.requires_grad
    torch.testing.assert_close(features, images.detach().mean((-2, -1)))


def test_a_compact_teacher_gives_the_means_of_its_embedding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = save_compact_teacher(CompactTeacher(64), tmp_path / "mine.safetensors")
    network = build_feature_network(str(path))
    assert network.name == "compact teacher 'mine' (not Inception)"  # the name alone, no folder
    images = torch.rand(2, 3, 64, 64)
    features = network(images)
    with torch.no_grad():
        embedding = build_compact_teacher(str(path)).encode(images)
    torch.testing.assert_close(features, embedding.flatten(2).mean(2))
    assert not torch.allclose(features[0], features[1])


def test_inception_sees_what_it_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, asked = Recorder(), []

    def builder(weights: Any) -> Recorder:
        asked.append(weights)
        return recorder

    monkeypatch.setattr(torchvision.models, "inception_v3", builder)
    network = build_feature_network("inception")
    assert network.name == "Inception v3, ImageNet (torchvision)"
    features = network(torch.full((2, 3, 40, 40), 0.5))
    assert asked == [torchvision.models.Inception_V3_Weights.IMAGENET1K_V1]
    assert not recorder.training
    (shown,) = recorder.shown
    assert shown.shape == (2, 3, 299, 299)
    # ImageNet's mean and standard deviation, as torchvision documents them; without the classifier at the end.
    expected = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(features, expected.expand(2, 3))


DAMAGED = RuntimeError('invalid hash value (expected "0cc3c7bd", got "e3b0c442")')


@pytest.mark.parametrize("error", [URLError("no route to host"), TimeoutError("timed out"), DAMAGED])
def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def builder(weights: Any) -> Recorder:
        raise error

    monkeypatch.setattr(torchvision.models, "inception_v3", builder)
    with pytest.raises(
        WeightsError,
        match=r"^feature_network: Inception's weights could not be downloaded. Give a compact teacher instead "
        r"\(--feature_network compact\), or put the file where torch.hub keeps its downloads$",
    ) as caught:
        build_feature_network("inception")
    assert caught.value.__cause__ is error


def test_an_unknown_teacher_is_named() -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        build_feature_network("nowhere")
