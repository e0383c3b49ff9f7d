"""Random colours and blur for whole batches: each row draws its own numbers, all are changed at once."""

from __future__ import annotations

import torch
from monai.networks.layers import GaussianFilter
from torch import Tensor

from labelmine.ranges import check_number

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
JITTERED = 0.8  # part of the rows whose colours change; Chen et al. 2020, appendix A
BLUR_SIGMA = (0.1, 2.0)  # pixels of a view of 224, appendix A too


class RandomColours:
    """Change brightness, contrast, saturation and a gain per channel (the light's colour), and blur.

    Args:
        jitter: Largest relative change of brightness, contrast and saturation, in [0, 1]; a quarter of it for the gain
            of a channel.
        grey: Probability that an image loses its colours.
        blur: Probability that an image is blurred.
        generator: Source of all draws, on the CPU everywhere: a GPU draws the same.

    Raises:
        ConfigError: When a knob is out of range.

    Example:
        >>> RandomColours(0.4, 0.2, 0.5, torch.Generator().manual_seed(0))(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, jitter: float, grey: float, blur: float, generator: torch.Generator) -> None:
        """Check and keep the knobs."""
        for name, value in (("jitter", jitter), ("grey", grey), ("blur", blur)):
            check_number(name, value, 0, 1, hint="for example 0.4")
        self.jitter = jitter
        self.grey = grey
        self.blur = blur
        self.generator = generator

    def __call__(self, images: Tensor) -> Tensor:
        """Return (B, 3, S, S) images in [0, 1] with other colours, some blurred."""
        return self._blurred(self._recoloured(images), images.shape[-1] / 224)

    def uniform(self, size: int | tuple[int, ...], low: float, high: float) -> Tensor:
        """Draw numbers between ``low`` and ``high``."""
        return low + (high - low) * torch.rand(size, generator=self.generator)

    def chosen(self, size: int | tuple[int, ...], probability: float) -> Tensor:
        """Draw yes or no."""
        return self.uniform(size, 0, 1) < probability

    def _recoloured(self, x: Tensor) -> Tensor:
        n = len(x)
        strength = self.jitter * self.chosen(n, JITTERED)[:, None]
        brightness, contrast, saturation = (1 + strength * self.uniform((n, 3), -1, 1)).unbind(1)
        gain = brightness[:, None] * (1 + strength / 4 * self.uniform((n, 3), -1, 1))
        saturation = saturation * ~self.chosen(n, self.grey)
        gain, contrast, saturation = (f.reshape(n, -1, 1, 1).to(x) for f in (gain, contrast, saturation))
        x = x * gain
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * contrast
        luma = (x * x.new_tensor(LUMA).reshape(3, 1, 1)).sum(1, keepdim=True)
        return (luma + (x - luma) * saturation).clamp(0, 1)

    def _blurred(self, x: Tensor, scale: float) -> Tensor:
        """Blur some rows, all with the same sigma: one convolution."""
        rows = self.chosen(len(x), self.blur).nonzero()[:, 0].to(x.device)
        sigma = scale * float(self.uniform(1, *BLUR_SIGMA))
        return x.index_copy(0, rows, GaussianFilter(2, sigma).to(x.device)(x[rows])) if len(rows) else x
