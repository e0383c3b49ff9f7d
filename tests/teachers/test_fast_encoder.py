"""The image encoder gives segment-anything's embeddings, whatever its windows, heads and position terms."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn

from labelmine.teachers import fast_encoder
from labelmine.teachers.fast_encoder import encode_images


def small_encoder(side: int = 96, **changes: Any) -> ImageEncoderViT:
    """Four blocks, the second and fourth global, with weights of which each one matters."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "patch_size": 8,
        "embed_dim": 32,
        "depth": 4,
        "num_heads": 4,
        "out_chans": 16,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "use_rel_pos": True,
        "window_size": 4,
        "global_attn_indexes": (1, 3),
    }
    encoder = ImageEncoderViT(img_size=side, **(settings | changes))
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name or "bias" in name:  # zero in a fresh encoder
            nn.init.normal_(parameter, std=0.2)
    return encoder.eval().requires_grad_(False)


def images_for(encoder: ImageEncoderViT, count: int = 2) -> Tensor:
    return torch.randn(count, 3, encoder.img_size, encoder.img_size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("window", [4, 5, 7, 16, 0])  # of 12 x 12 tokens: windows that fit, that need padding, none
@pytest.mark.parametrize(
    "changes",
    [{}, {"use_rel_pos": False}, {"qkv_bias": False}, {"use_abs_pos": False}, {"embed_dim": 20, "num_heads": 2}],
)
def test_embeddings_are_segment_anythings(window: int, changes: dict[str, Any]) -> None:
    encoder = small_encoder(window_size=window, **changes)
    images = images_for(encoder)
    expected = encoder(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(encode_images(encoder, images), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("scores", [1, 144 * 5, 144 * 100])
def test_attention_in_steps_is_attention_at_once(scores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of one query, of five (of which the last is shorter) and of a hundred."""
    encoder = small_encoder()
    images = images_for(encoder)
    monkeypatch.setattr(fast_encoder, "SCORES_AT_ONCE", scores)
    torch.testing.assert_close(encode_images(encoder, images), encoder(images), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [4, 5, 0])
def test_position_terms_inside_the_product_are_those_added_to_scores(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form for GPUs, run on a CPU."""
    encoder = small_encoder(window_size=window)
    images = images_for(encoder)
    monkeypatch.setattr(
        fast_encoder,
        "_attend",
        lambda attn, q, k, v, size: fast_encoder._attend_by_flash(
            q, k, v, *fast_encoder._position_terms(attn, q, size)
        ),
    )
    torch.testing.assert_close(encode_images(encoder, images), encoder(images), atol=2e-5, rtol=1e-5)


@pytest.mark.slow
def test_real_shapes_agree() -> None:
    """ViT-B, a quarter as deep: each kind of layer at the size at which all images meet it."""
    encoder = small_encoder(
        1024,
        patch_size=16,
        embed_dim=768,
        depth=3,
        num_heads=12,
        out_chans=256,
        window_size=14,
        global_attn_indexes=(2,),
    )
    images = images_for(encoder, 1)
    torch.testing.assert_close(encode_images(encoder, images), encoder(images), atol=1e-4, rtol=0)
