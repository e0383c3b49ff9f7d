from __future__ import annotations

import pytest
import torch
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.synthesis.process import Kind, NoiseProcess
from labelmine.synthesis.sampling import FollowStyle, KeepKnown, sample

KINDS: list[Kind] = ["v_prediction", "flow"]


class Knows:
    """A network that answers as if every image were one it knows, and counts its calls."""

    def __init__(self, image: Tensor, process: NoiseProcess) -> None:
        self.image, self.process, self.calls = image, process, 0

    def __call__(self, noisy: Tensor, times: Tensor) -> Tensor:
        self.calls += 1
        signal, sigma = self.process.levels(int(times[0]))
        noise = (noisy - signal * self.image) / sigma
        return self.image - noise if self.process.kind == "flow" else signal * noise - sigma * self.image


def pattern(channels: int = 3) -> Tensor:
    return torch.rand(2, channels, 32, 32, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_images(kind: Kind) -> None:
    process = NoiseProcess(kind)
    first, again, other = (sample(lambda x, t: 0.1 * x, process, (2, 3, 8, 8), 5, seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("resamplings", "eta"), [(1, 0.0), (3, 0.0), (1, 1.0)])
def test_inpainting_keeps_what_is_known_and_fills_the_hole(kind: Kind, resamplings: int, eta: float) -> None:
    process, real, made = NoiseProcess(kind), pattern(), -pattern()
    hole = torch.zeros(2, 1, 32, 32)
    hole[..., 8:20, 8:20] = 1
    network = Knows(made, process)
    out = sample(network, process, (2, 3, 32, 32), 10, [KeepKnown(real, hole)], resamplings, eta)
    torch.testing.assert_close(out, torch.where(hole > 0, made, real), atol=1e-3, rtol=0)
    assert network.calls == 10 * resamplings


@pytest.mark.parametrize("kind", KINDS)
def test_style_moves_low_frequencies_alone(kind: Kind) -> None:
    process, made = NoiseProcess(kind), pattern(4) * 0.3
    real = made.clone()
    real[:, :3] += 0.5  # brighter everywhere
    out = sample(Knows(made, process), process, (2, 4, 32, 32), 20, [FollowStyle(real, 8)])
    shift = out - made
    assert (shift[:, :3].mean() - 0.5).abs() < 0.05
    assert shift[:, :3].std() < 0.1
    torch.testing.assert_close(out[:, 3:], made[:, 3:], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_noise_leaves_another_path(kind: Kind) -> None:
    plain, ancestral, none = (
        sample(lambda x, t: 0.1 * x, NoiseProcess(kind), (2, 3, 8, 8), 5, **knobs)
        for knobs in ({}, {"eta": 1.0}, {"eta": 0.0})
    )
    assert torch.equal(plain, ancestral)
    assert not torch.allclose(plain, none, atol=0.05)


def test_no_style_is_no_pull() -> None:
    process = NoiseProcess()
    free, pulled = (
        sample(Knows(pattern(), process), process, (2, 3, 32, 32), 5, steering)
        for steering in ([], [FollowStyle(-pattern(), 8, strength=0.0)])
    )
    torch.testing.assert_close(free, pulled)


def test_bad_knobs() -> None:
    with pytest.raises(ConfigError, match=r"sampling_steps: expected a whole number in \[1, 1000\]. Got: 0"):
        sample(lambda x, t: x, NoiseProcess(), (1, 3, 8, 8), 0)
    with pytest.raises(ConfigError, match=r"resamplings: expected a whole number of 1 or more. Got: 0"):
        sample(lambda x, t: x, NoiseProcess(), (1, 3, 8, 8), 5, resamplings=0)
    with pytest.raises(ConfigError, match=r"eta: expected a number of 0 or more. Got: -1"):
        sample(lambda x, t: x, NoiseProcess(), (1, 3, 8, 8), 5, eta=-1)
    with pytest.raises(ConfigError, match=r"style_factor: expected a whole number of 2 or more"):
        FollowStyle(pattern(), factor=1)
