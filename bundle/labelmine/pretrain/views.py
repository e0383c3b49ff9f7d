"""Random views of whole batches: a crop, a turn and other colours for each image, in a few operations on its device.

MONAI's random transforms take one image a call; here each row of a batch draws its own numbers and all rows are
transformed at once, with a single interpolation for crop, turn and flips.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from monai.networks.layers import GaussianFilter
from torch import Tensor

from labelmine.errors import ConfigError

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
ASPECT = 4 / 3  # of a crop, at most; as Chen et al. 2020, appendix A
JITTERED = 0.8  # part of the rows whose colours change; appendix A too
BLUR_SIGMA = (0.1, 2.0)  # pixels of a view of 224, appendix A too


class RandomViews:
    """Two random views of each image, as SimCLR needs them (Chen et al. 2020, section 3 and appendix A).

    Medical images lack a fixed upright and often colour: views are turned too, and colour changes by brightness,
    contrast, saturation and a gain per channel (the light's colour) in place of a shift of hue.

    Args:
        min_area: Smallest crop, as a fraction of the image's area, in (0, 1].
        rotation: Largest turn in degrees, to either side.
        jitter: Largest relative change of brightness, contrast and saturation, in [0, 1]; a quarter of it for the gain
            of a channel.
        grey: Probability that a view has no colour.
        blur: Probability that a view is blurred.
        seed: Seed of all draws, see ``set_epoch``.

    Raises:
        ConfigError: When a knob is out of range.

    Example:
        >>> RandomViews()(torch.rand(3, 3, 64, 64), torch.tensor([[64, 64], [48, 64], [64, 32]])).shape
        torch.Size([6, 3, 64, 64])
    """

    def __init__(
        self,
        min_area: float = 0.2,
        rotation: float = 45.0,
        jitter: float = 0.4,
        grey: float = 0.2,
        blur: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Check and keep the knobs."""
        if not 0 < min_area <= 1:
            raise ConfigError(f"min_area: expected a fraction in (0, 1], for example 0.2; got {min_area}")
        for name, value in (("jitter", jitter), ("grey", grey), ("blur", blur)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name}: expected a number from 0 to 1, for example 0.4; got {value}")
        self.min_area = min_area
        self.rotation = rotation
        self.jitter = jitter
        self.grey = grey
        self.blur = blur
        self.seed = seed
        self._generator = torch.Generator()  # on the CPU everywhere: a GPU draws the same views
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Seed from ``(seed, epoch)``; see ``EpochSeed``."""
        self._generator.manual_seed((self.seed * 1_000_003 + epoch) % 2**32)

    def __call__(self, images: Tensor, extents: Tensor) -> Tensor:
        """Draw the views.

        Args:
            images: (B, 3, S, S) in [0, 1].
            extents: (B, 2) height and width in pixels that each image fills from the top-left corner; the rest of the
                square is padding, which no crop starts from.

        Returns:
            (2B, 3, S, S) in [0, 1]: rows i and i + B show image i.
        """
        side = images.shape[-1]
        matrices = self._windows(extents.repeat(2, 1).cpu() / side).to(images)
        views = _resampled(images.repeat(2, 1, 1, 1), matrices)
        return self._blurred(self._recoloured(views), side / 224)

    def _windows(self, extent: Tensor) -> Tensor:
        """Draw (N, 2, 3) matrices that take a view's coordinates to the image's, both from -1 to 1 as (x, y)."""
        n = len(extent)
        half = extent.flip(1)  # the content spans 2 * extent of the square's side of 2, from its top-left corner
        area = self._uniform(n, self.min_area, 1) * half.prod(1)
        ratio = self._uniform(n, -math.log(ASPECT), math.log(ASPECT)).exp()
        size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).minimum(half)
        centre = half - 1 + self._uniform((n, 2), -1, 1) * (half - size)
        angle = torch.deg2rad(self._uniform(n, -self.rotation, self.rotation))
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).reshape(n, 2, 2)
        flip = torch.where(self._chosen((n, 2), 0.5), -1.0, 1.0)
        return torch.cat([turn * (size * flip)[:, None], centre[:, :, None]], dim=2)

    def _recoloured(self, x: Tensor) -> Tensor:
        n = len(x)
        strength = self.jitter * self._chosen(n, JITTERED)[:, None]
        brightness, contrast, saturation = (1 + strength * self._uniform((n, 3), -1, 1)).unbind(1)
        gain = brightness[:, None] * (1 + strength / 4 * self._uniform((n, 3), -1, 1))
        saturation = saturation * ~self._chosen(n, self.grey)
        gain, contrast, saturation = (f.reshape(n, -1, 1, 1).to(x) for f in (gain, contrast, saturation))
        x = x * gain
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * contrast
        luma = (x * x.new_tensor(LUMA).reshape(3, 1, 1)).sum(1, keepdim=True)
        return (luma + (x - luma) * saturation).clamp(0, 1)

    def _blurred(self, x: Tensor, scale: float) -> Tensor:
        """Blur some rows, all with the same sigma: one convolution."""
        rows = self._chosen(len(x), self.blur).nonzero()[:, 0].to(x.device)
        sigma = scale * float(self._uniform(1, *BLUR_SIGMA))
        return x.index_copy(0, rows, GaussianFilter(2, sigma).to(x.device)(x[rows])) if len(rows) else x

    def _uniform(self, size: int | tuple[int, ...], low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=self._generator)

    def _chosen(self, size: int | tuple[int, ...], probability: float) -> Tensor:
        return self._uniform(size, 0, 1) < probability


def _resampled(x: Tensor, matrices: Tensor) -> Tensor:
    grid = F.affine_grid(matrices, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
