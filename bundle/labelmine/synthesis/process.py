"""How an image becomes noise, and noise an image: v-prediction diffusion or rectified flow, with MONAI's schedulers."""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.schedulers import DDIMScheduler, RFlowScheduler
from torch import Tensor

from labelmine.errors import ConfigError

Kind = Literal["v_prediction", "flow"]
TRAIN_STEPS = 1000


class NoiseProcess:
    """A path from images to Gaussian noise, what a network learns along it, and the steps back.

    At time t an image is ``signal(t) * image + sigma(t) * noise``. ``v_prediction`` (Salimans and Ho 2022) has
    ``signal^2 + sigma^2 = 1`` with a cosine schedule and is sampled by DDIM; ``flow`` (rectified flow, Liu et al. 2022)
    goes straight from the one to the other.

    Args:
        kind: ``v_prediction`` or ``flow``.

    Raises:
        ConfigError: When ``kind`` is none of the two.
    """

    def __init__(self, kind: Kind = "flow") -> None:
        """Make MONAI's scheduler."""
        if kind not in ("v_prediction", "flow"):
            raise ConfigError(f"prediction: expected 'v_prediction' or 'flow'. Got: '{kind}'")
        self.kind = kind
        self.scheduler: DDIMScheduler | RFlowScheduler = (
            RFlowScheduler(TRAIN_STEPS)
            if kind == "flow"
            else DDIMScheduler(TRAIN_STEPS, schedule="cosine", prediction_type="v_prediction")
        )

    def levels(self, time: int) -> tuple[float, float]:
        """Return ``(signal, sigma)`` at a time; -1, and 0 of a flow, are the image itself."""
        if self.kind == "flow":
            return 1 - max(time, 0) / TRAIN_STEPS, max(time, 0) / TRAIN_STEPS
        kept = float(self.scheduler.alphas_cumprod[time]) if time >= 0 else 1.0
        return kept**0.5, (1 - kept) ** 0.5

    def draw_times(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (B,) times to train at, int64 in [0, 1000); of a flow in [1, 1000], where there is noise."""
        return torch.randint(0, TRAIN_STEPS, (count,), generator=generator) + int(self.kind == "flow")

    def noised(self, images: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return (B, C, H, W) images with the noise of their times (B,)."""
        noisy: Tensor = self.scheduler.add_noise(images, noise, times)
        return noisy

    def target(self, images: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return what the network should answer, (B, C, H, W): the velocity."""
        if self.kind == "flow":
            return images - noise
        velocity: Tensor = self.scheduler.get_velocity(images, noise, times)
        return velocity

    def times(self, steps: int) -> list[int]:
        """Return the times of a sampling of so many steps, 1 to 1000, from noise to image, and the image's own last."""
        self.scheduler.set_timesteps(steps)
        return [*self.scheduler.timesteps.tolist(), 0 if self.kind == "flow" else -1]

    def step(
        self,
        answer: Tensor,
        noisy: Tensor,
        time: int,
        next_time: int,
        fresh: Tensor | None = None,
        eta: float = 1.0,
    ) -> Tensor:
        """Go from one time to the next with the network's answer; all (B, C, H, W).

        The image that the answer implies is clipped to [-1, 1]. ``fresh`` noise, if given, takes the place of part of
        what remains: at ``eta`` 1 as much as in ancestral sampling (DDIM, Song et al. 2021, equation 16, of a flow by
        the same ratio of signals to noises), beyond 1 more, up to all. (MONAI's own DDIM step assumes equal distances
        between times, which its rounded ones do not have; without fresh noise a flow's two steps are the same.)
        """
        image, noise = self.parts(answer, noisy, time)
        if fresh is not None:
            part = min(1.0, eta**2 * self.renewed(time, next_time))
            noise = (1 - part) ** 0.5 * noise + part**0.5 * fresh
        signal, sigma = self.levels(next_time)
        return signal * image + sigma * noise

    def renewed(self, time: int, next_time: int) -> float:
        """Return which part of the noise's variance ancestral sampling draws anew in a step, in [0, 1]."""
        (signal, sigma), (next_signal, next_sigma) = self.levels(time), self.levels(next_time)
        return 1 - (signal * next_sigma / (next_signal * sigma)) ** 2

    def parts(self, answer: Tensor, noisy: Tensor, time: int) -> tuple[Tensor, Tensor]:
        """Return the image, clipped to [-1, 1], and the noise that an answer implies."""
        signal, sigma = self.levels(time)
        image = noisy + sigma * answer if self.kind == "flow" else signal * noisy - sigma * answer
        image = image.clamp(-1, 1)
        return image, (noisy - signal * image) / max(sigma, 1e-6)

    def renoised(self, noisy: Tensor, noise: Tensor, time: int, later: int) -> Tensor:
        """Go forward again, from a time to a noisier one, with fresh noise (RePaint's resampling)."""
        (signal, sigma), (signal_later, sigma_later) = self.levels(time), self.levels(later)
        kept = signal_later / signal
        again: Tensor = kept * noisy + max(sigma_later**2 - (kept * sigma) ** 2, 0.0) ** 0.5 * noise
        return again
