from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.synthesis.process import TRAIN_STEPS, Kind, NoiseProcess

KINDS = ["v_prediction", "flow"]


def example(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, 2, 8, 8, generator=generator) * 2 - 1, torch.randn(3, 2, 8, 8, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_added_as_the_levels_say(kind: Kind) -> None:
    process, (images, noise) = NoiseProcess(kind), example()
    times = torch.tensor([1, 400, 999])
    noisy = process.noised(images, noise, times)
    for row, time in enumerate(times.tolist()):
        signal, sigma = process.levels(time)
        torch.testing.assert_close(noisy[row], signal * images[row] + sigma * noise[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(time=st.integers(1, 999), seed=st.integers(0, 99))
def test_the_right_answer_gives_image_and_noise_back(kind: Kind, time: int, seed: int) -> None:
    process, (images, noise) = NoiseProcess(kind), example(seed)
    times = torch.full((3,), time)
    noisy, answer = process.noised(images, noise, times), process.target(images, noise, times)
    image, found = process.parts(answer, noisy, time)
    torch.testing.assert_close(image, images, atol=1e-4, rtol=0)
    if process.levels(time)[1] > 0.05:
        torch.testing.assert_close(found, noise, atol=1e-2, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_a_network_that_knows_the_image_makes_it(kind: Kind, steps: int) -> None:
    process, (images, noise) = NoiseProcess(kind), example()
    times = process.times(steps)
    assert len(times) == steps + 1
    assert times == sorted(times, reverse=True)
    noisy = noise
    for time, next_time in pairwise(times):
        signal, sigma = process.levels(time)
        found = (noisy - signal * images) / sigma
        answer = images - found if kind == "flow" else signal * found - sigma * images
        noisy = process.step(answer, noisy, time, next_time)
    torch.testing.assert_close(noisy, images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0, 100.0])
def test_fresh_noise_takes_its_part_and_leaves_the_level(kind: Kind, eta: float) -> None:
    process, generator = NoiseProcess(kind), torch.Generator().manual_seed(0)
    images = torch.full((1, 1, 400, 400), 0.5)
    noise, fresh = (torch.randn(images.shape, generator=generator) for _ in range(2))
    times = torch.tensor([700])
    noisy, answer = process.noised(images, noise, times), process.target(images, noise, times)
    signal, sigma = process.levels(300)
    part = min(1.0, eta**2 * process.renewed(700, 300))
    found = (process.step(answer, noisy, 700, 300, fresh, eta) - signal * images) / sigma
    assert found.std().item() == pytest.approx(1, abs=0.01)
    assert (found * fresh).mean().item() == pytest.approx(part**0.5, abs=0.01)
    assert (found * noise).mean().item() == pytest.approx((1 - part) ** 0.5, abs=0.01)


@pytest.mark.parametrize("time", [980, 500, 20])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_fresh_noise_is_that_of_monai_s_ddim(time: int, eta: float) -> None:
    process, (images, noise) = NoiseProcess("v_prediction"), example()
    times = torch.full((3,), time)
    noisy, answer = process.noised(images, noise, times), process.target(images, noise, times)
    process.times(50)  # equal distances, so that MONAI's previous time is ours
    theirs, _ = process.scheduler.step(answer, time, noisy, eta, torch.Generator().manual_seed(1))
    fresh = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(1))
    ours = process.step(answer, noisy, time, time - 20, fresh, eta)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_of_a_flow_a_step_forgets_as_much_as_the_ratio_of_signal_to_noise_grows() -> None:
    process = NoiseProcess("flow")
    assert process.renewed(1000, 980) == 1  # there was no signal
    assert process.renewed(750, 500) == pytest.approx(1 - 1 / 9)  # 1 : 3 becomes 1 : 1
    once = (1 - process.renewed(750, 600)) * (1 - process.renewed(600, 500))
    assert once == pytest.approx(1 - process.renewed(750, 500))  # two steps forget as much as one


@pytest.mark.parametrize("kind", KINDS)
def test_going_forward_again_has_the_level_s_noise(kind: Kind) -> None:
    process = NoiseProcess(kind)
    images = torch.full((1, 1, 400, 400), 0.5)
    generator = torch.Generator().manual_seed(0)
    noise, fresh = (torch.randn(images.shape, generator=generator) for _ in range(2))
    earlier = process.noised(images, noise, torch.tensor([300]))
    signal, sigma = process.levels(700)
    later = process.renoised(earlier, fresh, 300, 700)
    assert later.mean().item() == pytest.approx(0.5 * signal, abs=0.01)
    assert later.std().item() == pytest.approx(sigma, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_times_are_drawn_over_the_whole_path(kind: Kind) -> None:
    times = NoiseProcess(kind).draw_times(5000, torch.Generator().manual_seed(0))
    low = int(kind == "flow")
    assert low <= times.min() < 10
    assert TRAIN_STEPS - 10 < times.max() < TRAIN_STEPS + low


def test_bad_knobs() -> None:
    with pytest.raises(ConfigError, match=r"prediction: expected 'v_prediction' or 'flow'. Got: 'epsilon'"):
        NoiseProcess("epsilon")  # type: ignore[arg-type]
