"""Training in bfloat16 on CPUs that multiply it in hardware."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import SimpleInferer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_GROUPS = 6  # position among the arguments of conv2d


def bfloat16_in_hardware() -> bool:
    """Tell whether this CPU has instructions that multiply bfloat16 matrices (AMX); elsewhere it is no faster."""
    if not hasattr(torch.cpu, "get_capabilities"):  # older than torch 2.10
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def training_inferer(device: torch.device | str) -> SimpleInferer:
    """Return how a student in training is applied to a batch: in bfloat16 where this CPU has it, else as it is."""
    on_cpu = torch.device(device).type == "cpu"
    return BFloat16Inferer() if on_cpu and bfloat16_in_hardware() else SimpleInferer()


class BFloat16Inferer(SimpleInferer):  # type: ignore[misc]  # MONAI is untyped
    """MONAI's ``SimpleInferer`` under torch's CPU autocast; logits and gradients of weights are float32.

    MONAI's ``amp`` is for GPUs alone. Depthwise convolutions stay in float32: oneDNN's gradient of them is four to
    five times slower in bfloat16.

    Example:
        >>> BFloat16Inferer()(torch.rand(1, 3, 8, 8), nn.Conv2d(3, 2, 3)).dtype
        torch.float32
    """

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Return the network's logits in float32."""
        with torch.autocast("cpu", torch.bfloat16), _DepthwiseInFloat32():
            logits: Tensor = network(inputs, *args, **kwargs)
        return logits.float()


class _DepthwiseInFloat32(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.conv2d or kwargs.get("groups", args[_GROUPS] if len(args) > _GROUPS else 1) == 1:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(args[0].float(), *args[1:], **kwargs)
