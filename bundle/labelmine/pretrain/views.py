"""Random views of whole batches: a crop, a turn and other colours for each image, in a few operations on its device.

MONAI's random transforms take one image a call; here each row of a batch draws its own numbers and all rows are
transformed at once, with a single interpolation for crop, turn and flips.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from labelmine.ranges import check_number
from labelmine.transforms import RandomColours

ASPECT = 4 / 3  # of a crop, at most; as Chen et al. 2020, appendix A


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
        check_number("min_area", min_area, 0, 1, open_low=True, hint="for example 0.2")
        check_number("rotation", rotation, 0, 180)
        self.min_area = min_area
        self.rotation = rotation
        self.seed = seed
        self._generator = torch.Generator()
        self._colours = RandomColours(jitter, grey, blur, self._generator)
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
        matrices = self._windows(extents.repeat(2, 1).cpu() / images.shape[-1]).to(images)
        return self._colours(_resampled(images.repeat(2, 1, 1, 1), matrices))

    def _windows(self, extent: Tensor) -> Tensor:
        """Draw (N, 2, 3) matrices that take a view's coordinates to the image's, both from -1 to 1 as (x, y)."""
        n = len(extent)
        half = extent.flip(1)  # the content spans 2 * extent of the square's side of 2, from its top-left corner
        area = self._colours.uniform(n, self.min_area, 1) * half.prod(1)
        ratio = self._colours.uniform(n, -math.log(ASPECT), math.log(ASPECT)).exp()
        size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).minimum(half)
        centre = half - 1 + self._colours.uniform((n, 2), -1, 1) * (half - size)
        angle = torch.deg2rad(self._colours.uniform(n, -self.rotation, self.rotation))
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).reshape(n, 2, 2)
        flip = torch.where(self._colours.chosen((n, 2), 0.5), -1.0, 1.0)
        return torch.cat([turn * (size * flip)[:, None], centre[:, :, None]], dim=2)


def _resampled(x: Tensor, matrices: Tensor) -> Tensor:
    grid = F.affine_grid(matrices, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
