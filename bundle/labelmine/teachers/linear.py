"""The linear layer by the fastest public way on each device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# With one thread ATen gives 1x1 convolutions to oneDNN from a batch of 16 images on: rows are split into that many.
BATCHES = range(16, 65)
FEWEST_ROWS = 256  # below, preparing the convolution costs what it saves


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``torch.nn.functional.linear(x, weight, bias)``.

    In float32 on a CPU ATen multiplies matrices by MKL and convolves by oneDNN. On an AMD core MKL reaches half of
    oneDNN's speed or less, so there a product of many rows is written as a 1x1 convolution of the same rows.

    Args:
        x: (..., n) rows.
        weight: (m, n).
        bias: (m,), or None.

    Returns:
        (..., m).
    """
    rows = x.numel() // x.shape[-1]
    batch = next((b for b in BATCHES if rows % b == 0), 0)
    if x.device.type != "cpu" or x.dtype != torch.float32 or rows < FEWEST_ROWS or not batch:
        return F.linear(x, weight, bias)
    pixels = x.contiguous().view(batch, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)  # channels-last: no copy
    product = F.conv2d(pixels, weight[:, :, None, None], bias)
    return product.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def linear_each(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``linear`` of each of N sets of rows with its own weight.

    Args:
        x: (N, rows, n).
        weight: (N, m, n).
        bias: (N, m), or None.

    Returns:
        (N, rows, m).
    """
    if x.device.type != "cpu":
        product = x @ weight.transpose(1, 2)
        return product if bias is None else product + bias[:, None]
    biases = [None] * len(x) if bias is None else bias
    if len(x) == 1:  # a stack of one is a copy for nothing
        return linear(x[0], weight[0], biases[0])[None]
    return torch.stack([linear(rows, w, b) for rows, w, b in zip(x, weight, biases, strict=True)])
