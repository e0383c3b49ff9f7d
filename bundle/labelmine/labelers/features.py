"""What a network sees in each pixel: the output of one of its layers while it looks at an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from labelmine.errors import ConfigError
from labelmine.networks import StudentNetwork, network_behind

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


@contextmanager
def recorded_features(network: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collect what ``layer`` puts out while the network runs.

    Args:
        network: Any network.
        layer: Dotted name of one of its modules, whose output is (B, D, h, w).

    Raises:
        ConfigError: When there is no such module; names that would work are given.
    """
    modules = dict(network.named_modules())
    if layer not in modules:
        known = ", ".join(name for name in modules if name and name.count(".") < 2)
        raise ConfigError(f"layer: the network has no module '{layer}'. Among others it has: {known[:400]}")
    seen: list[Tensor] = []
    handle = modules[layer].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()
