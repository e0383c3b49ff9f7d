"""Networks whose features say how alike images are: one that comes along, and Inception for who can download it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmine.errors import WeightsError
from labelmine.teachers import build_compact_teacher

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
INCEPTION_SIZE = 299


@dataclass(frozen=True)
class FeatureNetwork:
    """Features of images, and the name that belongs beside each figure made with them.

    Attributes:
        name: For people.
        extract: Takes (B, 3, H, W) in [0, 1], gives (B, D).
    """

    name: str
    extract: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, images: Tensor, batch_size: int = 32) -> Tensor:
        """Return (N, D) features on the CPU."""
        return torch.cat([self.extract(part).cpu() for part in torch.split(images, batch_size)])


def build_feature_network(name: str = "compact", device: torch.device | str = "cpu") -> FeatureNetwork:
    """Return a feature network.

    Args:
        name: ``inception``: torchvision's Inception v3 with ImageNet weights, which it downloads; papers mostly use
            TensorFlow's weights, whose figures differ. Else a compact teacher's name or file: the means of its
            embedding over the image, for use without a connection; its figures compare with each other alone.
        device: Where it works.

    Raises:
        WeightsError: The weights cannot be had.
    """
    if name == "inception":
        return FeatureNetwork("Inception v3, ImageNet (torchvision)", _inception(device))
    teacher = build_compact_teacher(name, device)

    def means(images: Tensor) -> Tensor:
        return teacher.encode(images.to(device)).mean((-2, -1))

    return FeatureNetwork(f"compact teacher '{teacher.name}' (not Inception)", means)


def _inception(device: torch.device | str) -> Callable[[Tensor], Tensor]:
    from torchvision.models import Inception_V3_Weights, inception_v3

    try:
        network = inception_v3(weights=Inception_V3_Weights.IMAGENET1K_V1)
    except (OSError, RuntimeError) as error:  # a broken download is a RuntimeError
        raise WeightsError(
            "feature_network: Inception's weights could not be downloaded. Give a compact teacher instead "
            "(--feature_network compact), or put the file where torch.hub keeps its downloads"
        ) from error
    network.fc = nn.Identity()
    network.eval().to(device)
    mean, std = (torch.tensor(v, device=device).reshape(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))

    def pooled(images: Tensor) -> Tensor:
        size = (INCEPTION_SIZE, INCEPTION_SIZE)
        large = F.interpolate(images.to(device), size=size, mode="bilinear", antialias=True, align_corners=False)
        features: Tensor = network((large - mean) / std)
        return features

    return pooled
