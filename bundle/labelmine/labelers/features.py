"""What a network sees in each pixel: the output of one of its layers while it looks at an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labelmine.errors import ConfigError
from labelmine.labelers.prediction import predict
from labelmine.networks import StudentNetwork, network_behind
from labelmine.ranges import check_number

DECODER = "network.decoder"  # of labelmine's own student: 16 channels at the view's resolution


def network_of(student: StudentNetwork) -> nn.Module:
    """Return the network behind a student, which may be one that is read from its file when first needed.

    Raises:
        ConfigError: When there is no ``torch.nn.Module``, whose layers could be looked at.
    """
    network = network_behind(student)
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"student: expected a torch.nn.Module, whose layers can be looked at. Got: {type(student).__name__}"
        )
    return network


def module_of(network: nn.Module, layer: str) -> nn.Module:
    """Return a module of a network by its dotted name.

    Raises:
        ConfigError: When there is no such module; names that would work are given.
    """
    modules = dict(network.named_modules())
    if layer not in modules:
        known = ", ".join(name for name in modules if name and name.count(".") < 2)
        raise ConfigError(f"layer: the network has no module '{layer}'. Among others it has: {known[:400]}")
    return modules[layer]


@contextmanager
def recorded_features(network: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collect what ``layer`` puts out while the network runs.

    Args:
        network: Any network.
        layer: Dotted name of one of its modules, whose output is (B, D, h, w).

    Raises:
        ConfigError: When there is no such module; names that would work are given.
    """
    seen: list[Tensor] = []
    handle = module_of(network, layer).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()


@dataclass(frozen=True)
class FeatureMap:
    """Which features of an image are looked at.

    Attributes:
        layer: Dotted name of the student's module whose output (B, D, h, w) are the features.
        stride: Features are averaged over squares of so many pixels of their map.
        encoder: A frozen network (B, 3, S, S) -> (B, D, h, w) whose features are taken instead.

    Raises:
        ConfigError: When a knob is out of its range.
    """

    layer: str = DECODER
    stride: int = 2
    encoder: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        """Check the knobs."""
        check_number("stride", self.stride, 1, whole=True)

    def check(self, student: StudentNetwork) -> None:
        """Refuse a student without the layer.

        Raises:
            ConfigError: No such layer.
        """
        if self.encoder is None:
            module_of(network_of(student), self.layer)

    def of(self, images: Tensor, student: StudentNetwork, exclusive: bool) -> tuple[Tensor, Tensor | None]:
        """Return L2-normalised features (B, D, h, w) of images (B, 3, S, S).

        The student's probabilities (B, K, S, S) come with them, where the look told them: not those of an ``encoder``,
        nor of a student that answers otherwise than the network behind it.

        Raises:
            ConfigError: A student without layers, no such layer, or one whose output is no map.
        """
        own = None
        if self.encoder is not None:
            maps = torch.cat([self.encoder(image[None]) for image in images])
        else:
            network = network_of(student)
            moved = images.to(next(network.parameters()).device)
            with recorded_features(network, self.layer) as seen:
                answer = predict(network, {"image": moved}, exclusive)
            own = answer if network is student else None
            maps = seen[0][: len(images)]
        if maps.ndim != 4:
            raise ConfigError(
                f"layer: expected an output (B, D, h, w). Got: {tuple(maps.shape)} from '{self.layer}'; take a layer "
                "whose output is a map."
            )
        maps = F.avg_pool2d(maps.float(), self.stride, ceil_mode=True) if self.stride > 1 else maps.float()
        return F.normalize(maps, dim=1), own
