from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from labelmine.errors import ConfigError, WeightsError
from labelmine.synthesis.generator import CONTENTS, Generator

SMALL: dict[str, Any] = {"image_size": 16, "channels": (32, 32), "attention": (False, True), "res_blocks": 1}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("clusters", [0, 3])
def test_answers_have_the_shape_of_the_question(content: Any, clusters: int) -> None:
    generator = Generator(["a", "b"], content=content, clusters=clusters, **SMALL)
    channels = 5 if content == "pairs" else 3
    masks = torch.rand(2, 2, 16, 16) if content == "images_on_masks" else None
    kinds = torch.tensor([0, 2]) if clusters else None
    answer = generator(torch.randn(2, channels, 16, 16), torch.tensor([1, 900]), kinds, masks)
    assert answer.shape == (2, channels, 16, 16)


@pytest.mark.parametrize("content", CONTENTS)
def test_comes_back_from_its_file(content: Any, tmp_path: Path) -> None:
    generator = Generator(["a"], content=content, clusters=2, kind="v_prediction", **SMALL).eval()
    generator.save(tmp_path / "generator.safetensors", seed=3)
    loaded, told = Generator.load(tmp_path / "generator.safetensors")
    assert (told["seed"], loaded.class_names, loaded.process.kind) == (3, ("a",), "v_prediction")
    for name, value in generator.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


def test_a_file_of_another_origin(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"expected a generator that synthesize.yaml trained"):
        Generator.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"content": "masks"}, "content: expected one of pairs, images, images_on_masks. Got: 'masks'"),
        ({"image_size": 15}, "image_size: expected a multiple of 2, as 2 levels halve it 1 times. Got: 15"),
    ],
)
def test_bad_knobs(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Generator(["a"], **{**SMALL, **knobs})


def test_masks_must_be_given_to_draw_on() -> None:
    generator = Generator(["a"], content="images_on_masks", **SMALL)
    with pytest.raises(ConfigError, match=r"needs masks"):
        generator(torch.randn(1, 3, 16, 16), torch.tensor([5]))


def test_half_precision_answers_nearly_the_same() -> None:
    torch.manual_seed(0)
    generator = Generator(["a"], **SMALL).eval()
    for parameter in generator.parameters():  # MONAI starts the last layer at zero
        torch.nn.init.normal_(parameter, std=0.1)
    noisy, times = torch.randn(2, 4, 16, 16), torch.tensor([1, 900])
    whole = generator(noisy, times)
    generator.mixed = True
    half = generator(noisy, times)
    assert half.dtype == torch.float32
    difference = (half - whole).abs().max()
    assert 0 < difference < 0.05 * whole.abs().max()
