"""Draw images from a trained network, and steer them: known regions, a style to follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.ranges import check_number
from labelmine.synthesis.process import TRAIN_STEPS, NoiseProcess

Network = Callable[[Tensor, Tensor], Tensor]


class Steering(Protocol):
    """What is done to a half-made image after each step."""

    def __call__(self, noisy: Tensor, time: int, process: NoiseProcess, generator: torch.Generator) -> Tensor:
        """Return the (B, C, H, W) image at ``time``, steered."""
        ...


class KeepKnown:
    """Inpainting: what lies outside a hole stays as in a real image (RePaint, Lugmayr et al. 2022, equation 8).

    Args:
        images: (B, C, H, W) real images in [-1, 1].
        hole: (B, 1, H, W), or (B, C, H, W) where channels differ; 1 where something new is to be made.
    """

    def __init__(self, images: Tensor, hole: Tensor) -> None:
        """Keep both."""
        self.images = images
        self.hole = hole

    def __call__(self, noisy: Tensor, time: int, process: NoiseProcess, generator: torch.Generator) -> Tensor:
        """Put the real image, with the noise of ``time``, around the hole."""
        signal, sigma = process.levels(time)
        known = signal * self.images + sigma * gaussian(self.images, generator)
        return self.hole * noisy + (1 - self.hole) * known


class FollowStyle:
    """Pull colours and light toward real images: low frequencies follow theirs (ILVR, Choi et al. 2021).

    Args:
        images: (B, C, H, W) images in [-1, 1]; channels beyond ``channels`` (masks) stay free.
        factor: How much smaller the images are made to leave low frequencies, 2 or more; the larger, the freer.
        strength: How far they follow, in [0, 1].
        channels: How many of the first channels follow.

    Raises:
        ConfigError: When a knob is out of range.
    """

    def __init__(self, images: Tensor, factor: int = 16, strength: float = 1.0, channels: int = 3) -> None:
        """Check and keep the knobs."""
        check_style(factor, strength)
        self.images = images
        self.factor = factor
        self.strength = strength
        self.channels = channels

    def __call__(self, noisy: Tensor, time: int, process: NoiseProcess, generator: torch.Generator) -> Tensor:
        """Exchange part of the low frequencies for those of the real images at ``time``."""
        signal, sigma = process.levels(time)
        real = signal * self.images + sigma * gaussian(self.images, generator)
        free = noisy[:, : self.channels]
        pulled = free + self.strength * (self._low(real[:, : self.channels]) - self._low(free))
        return torch.cat([pulled, noisy[:, self.channels :]], dim=1)

    def _low(self, images: Tensor) -> Tensor:
        size = [max(1, side // self.factor) for side in images.shape[-2:]]
        small = F.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
        return F.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)


@torch.no_grad()
def sample(
    network: Network,
    process: NoiseProcess,
    shape: tuple[int, int, int, int],
    steps: int = 50,
    steering: Sequence[Steering] = (),
    resamplings: int = 1,
    eta: float = 1.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Make images from noise.

    Args:
        network: Answers (B, C, H, W) noisy images and times (B,) with velocities.
        process: The one it was trained with.
        shape: (B, C, H, W).
        steps: Network calls per resampling; 50 or fewer do.
        steering: What is done after each step, in this order.
        resamplings: How often each step is taken, with fresh noise between (RePaint's r); 1: once.
        eta: How much noise is drawn anew in each step (DDIM, Song et al. 2021). 0: none; 1: as in ancestral sampling;
            more mends more of what a briefly trained network gets wrong, until masks become empty. What is made in a
            hole fits its surroundings only if noise is drawn anew: here, or by resampling.
        seed: Of all noise; the same seed gives the same images.
        device: Where to work.

    Returns:
        (B, C, H, W) in [-1, 1].

    Raises:
        ConfigError: When ``steps``, ``resamplings`` or ``eta`` are out of range.
    """
    check_sampling(steps, resamplings, eta)
    generator = torch.Generator().manual_seed(seed)
    times = process.times(steps)
    noisy = gaussian(torch.empty(shape, device=device), generator)
    for time, next_time in pairwise(times):
        start = noisy
        for repeat in range(resamplings):
            answer = network(start, torch.full((shape[0],), time, device=device))
            fresh = gaussian(noisy, generator) if eta else None
            noisy = process.step(answer, start, time, next_time, fresh, eta)
            for steer in steering:
                noisy = steer(noisy, next_time, process, generator)
            if repeat + 1 < resamplings:
                start = process.renoised(noisy, gaussian(noisy, generator), next_time, time)
    return noisy.clamp(-1, 1)


def check_sampling(steps: int, resamplings: int, eta: float) -> None:
    """Refuse knobs that nothing can be sampled with; see ``sample``.

    Raises:
        ConfigError: When one is out of range.
    """
    check_number("sampling_steps", steps, 1, TRAIN_STEPS, whole=True)
    check_number("resamplings", resamplings, 1, whole=True)
    check_number("eta", eta, 0)


def check_style(factor: int, strength: float) -> None:
    """Refuse knobs that no style can be followed with; see ``FollowStyle``.

    Raises:
        ConfigError: When one is out of range.
    """
    check_number("style_factor", factor, 2, whole=True)
    check_number("style", strength, 0, 1)


def gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw noise of a tensor's shape; on the CPU everywhere, so that a GPU draws the same."""
    return torch.randn(like.shape, generator=generator).to(like)
