"""Precision and compilation of the image encoder: knobs, what ``auto`` means, and what happens when compilers fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from labelmine.errors import ConfigError
from labelmine.teachers.accelerated_encoder import AcceleratedEncoder
from labelmine.teachers.fast_encoder import encode_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder() -> ImageEncoderViT:
    torch.manual_seed(0)
    model = ImageEncoderViT(
        img_size=64,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=4,
        out_chans=16,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=3,
        global_attn_indexes=(1,),
    )
    return model.eval().requires_grad_(False)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_on_a_cpu_auto_means_float32_uncompiled(
    encoder: ImageEncoderViT, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda *_: pytest.fail("compiled on a CPU"))
    accelerated = AcceleratedEncoder(encoder)
    assert accelerated.precision_on(CPU) == "float32"
    torch.testing.assert_close(accelerated(images), encoder(images), atol=1e-5, rtol=1e-5)


def test_a_trainers_mixed_precision_does_not_reach_the_teacher(encoder: ImageEncoderViT, images: Tensor) -> None:
    accelerated = AcceleratedEncoder(encoder)
    with torch.autocast("cpu", torch.bfloat16):
        inside = accelerated(images)
    assert torch.equal(inside, accelerated(images))


def test_bfloat16_rounds_but_answers_in_float32(encoder: ImageEncoderViT, images: Tensor) -> None:
    accelerated, exact = AcceleratedEncoder(encoder, "bfloat16"), encoder(images)
    rounded = accelerated(images)
    assert accelerated.precision_on(CPU) == "bfloat16"
    assert rounded.dtype == torch.float32
    assert 1e-4 < (rounded - exact).abs().max() < 0.1 * exact.std() + 0.1
    assert all(p.dtype == torch.float32 for p in encoder.parameters())


@pytest.mark.parametrize(("has_bfloat16", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_on_a_gpu_auto_asks_the_gpu(
    encoder: ImageEncoderViT, has_bfloat16: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bfloat16)
    assert AcceleratedEncoder(encoder).precision_on(torch.device("cuda")) == expected
    assert AcceleratedEncoder(encoder, "float32").precision_on(torch.device("cuda")) == "float32"


def test_compiles_once(encoder: ImageEncoderViT, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Callable[..., Any]] = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or function)
    accelerated = AcceleratedEncoder(encoder, compile=True)
    assert torch.equal(accelerated(images), accelerated(images))
    assert [f.__name__ for f in compiled] == ["encode_images"]


def test_dynamo_follows_the_encoder_in_one_graph(encoder: ImageEncoderViT, images: Tensor) -> None:
    """What a GPU's compiler is given; a graph in pieces would lose most of the speed."""
    traced = torch.compile(encode_images, backend="eager", fullgraph=True)
    torch.testing.assert_close(traced(encoder, images), encoder(images), atol=1e-5, rtol=1e-5)


def test_a_compiler_that_fails_is_named_and_left_out(
    encoder: ImageEncoderViT, images: Tensor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> Tensor:
        raise RuntimeError("Cannot find a working triton installation")

    monkeypatch.setattr(torch, "compile", lambda _: failing)
    accelerated = AcceleratedEncoder(encoder, compile=True)
    with caplog.at_level(logging.WARNING):
        answers = [accelerated(images), accelerated(images)]
    assert [r.getMessage() for r in caplog.records] == [
        "torch.compile failed (RuntimeError: Cannot find a working triton installation): the image encoder runs "
        "uncompiled. Set compile: false to say so at once."
    ]
    for answer in answers:
        torch.testing.assert_close(answer, encoder(images), atol=1e-5, rtol=1e-5)


def test_too_little_memory_is_no_compilers_failure(
    encoder: ImageEncoderViT, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", lambda _: full)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        AcceleratedEncoder(encoder, compile=True)(images)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"precision": "float16"}, r"precision: expected one of auto, float32, bfloat16. Got: 'float16'"),
        ({"compile": "yes"}, r"compile: expected true, false or auto. Got: 'yes'"),
    ],
)
def test_unknown_knobs_are_refused(encoder: ImageEncoderViT, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AcceleratedEncoder(encoder, **knobs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_embeddings_are_near_those_of_a_cpu(encoder: ImageEncoderViT, images: Tensor) -> None:
    exact = encoder(images)
    on_gpu = encoder.to("cuda")
    try:
        full = AcceleratedEncoder(on_gpu, "float32", compile=False)(images.cuda()).cpu()
        fast = AcceleratedEncoder(on_gpu)(images.cuda()).cpu()
    finally:
        encoder.to("cpu")
    torch.testing.assert_close(full, exact, atol=1e-3, rtol=1e-3)
    assert torch.nn.functional.cosine_similarity(fast.flatten(), exact.flatten(), dim=0) > 0.99
