"""The linear layer: the same numbers and gradients by every way that it may take."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from labelmine.teachers.linear import linear, linear_each


@pytest.mark.parametrize("shape", [(4096, 8), (2, 14, 14, 8), (3, 163, 8), (7, 8), (0, 8), (257, 8), (1, 509, 8)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_is_torchs(shape: tuple[int, ...], with_bias: bool) -> None:
    generator = torch.Generator().manual_seed(len(shape))
    x, weight = torch.randn(shape, generator=generator), torch.randn(12, 8, generator=generator)
    bias = torch.randn(12, generator=generator) if with_bias else None
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), atol=1e-5, rtol=1e-5)


def test_rows_and_weights_may_lie_anywhere_in_memory() -> None:
    x, weight = torch.randn(8, 512).t(), torch.randn(8, 12).t()
    torch.testing.assert_close(linear(x, weight), x @ weight.t(), atol=1e-5, rtol=1e-5)
    doubled = torch.randn(16, 32, 16)[..., ::2]
    torch.testing.assert_close(linear(doubled, weight), doubled @ weight.t(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_stay_as_they_are(dtype: torch.dtype) -> None:
    x, weight = torch.randn(512, 8, dtype=dtype), torch.randn(12, 8, dtype=dtype)
    assert torch.equal(linear(x, weight), F.linear(x, weight))


@pytest.mark.parametrize("count", [1, 3])
def test_each_set_of_rows_has_its_own_weight(count: int) -> None:
    x, weight, bias = torch.randn(count, 512, 8), torch.randn(count, 12, 8), torch.randn(count, 12)
    expected = torch.einsum("nrc,nmc->nrm", x, weight)
    torch.testing.assert_close(linear_each(x, weight), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(linear_each(x, weight, bias), expected + bias[:, None], atol=1e-5, rtol=1e-5)


def test_gradients_are_torchs() -> None:
    x, weight, bias = (torch.randn(s, requires_grad=True) for s in [(512, 8), (12, 8), (12,)])
    ours = torch.autograd.grad(linear(x, weight, bias).square().sum(), (x, weight, bias))
    theirs = torch.autograd.grad(F.linear(x, weight, bias).square().sum(), (x, weight, bias))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)
