"""The decoder gives segment-anything's masks for many objects at once, and its own resizing gives two of torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn

from labelmine.prompts import Prompts
from labelmine.teachers import decoding
from labelmine.teachers.decoding import decode_prompts, enlarged

GRID, SIDE, WIDTH = (16, 16), 256, 32
Model = tuple[PromptEncoder, MaskDecoder]


def small_model(alternatives: int) -> Model:
    torch.manual_seed(0)
    transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=64, num_heads=4)
    encoder = PromptEncoder(embed_dim=WIDTH, image_embedding_size=GRID, input_image_size=(SIDE, SIDE), mask_in_chans=16)
    decoder = MaskDecoder(num_multimask_outputs=alternatives, transformer=transformer, transformer_dim=WIDTH)
    with torch.no_grad():
        for parameter in decoder.parameters():  # biases that a fresh decoder has at zero, attention that is not flat
            parameter += torch.randn_like(parameter) * 0.1
        for head in decoder.output_hypernetworks_mlps:  # logits of some units, as trained weights give them
            head.layers[-1].weight *= 20
    return encoder.eval(), decoder.eval()


def asked(index: list[int], kinds: str) -> Prompts:
    n, generator = len(index), torch.Generator().manual_seed(3)
    low = torch.rand(n, 2, generator=generator) * 100
    where = torch.tensor(index, dtype=torch.long)
    parts: dict[str, Any] = {}
    if "box" in kinds:
        parts["boxes"] = torch.cat([low, low + 30 + low.flip(1)], 1)
    if "points" in kinds:
        parts["points"] = torch.rand(n, 5, 2, generator=generator) * SIDE
        parts["point_labels"] = torch.tensor([[1.0, 0, 1, 1, -1]]).expand(n, 5)
    if "mask" in kinds:
        parts["masks"] = torch.randn(n, 1, 64, 64, generator=generator)
    return Prompts(image_index=where, class_index=torch.zeros_like(where), **parts)


def stock(model: Model, embeddings: Tensor, prompts: Prompts, multimask: bool) -> tuple[Tensor, Tensor]:
    """One call of the stock decoder an object; its best mask."""
    encoder, decoder = model
    found = []
    for n, image in enumerate(prompts.image_index.tolist()):
        points = None
        if prompts.points is not None and prompts.point_labels is not None:
            points = (prompts.points[n : n + 1], prompts.point_labels[n : n + 1])
        boxes, masks = (None if v is None else v[n : n + 1] for v in (prompts.boxes, prompts.masks))
        sparse, dense = encoder(points=points, boxes=boxes, masks=masks)
        masks, iou = decoder(embeddings[image : image + 1], encoder.get_dense_pe(), sparse, dense, multimask)
        found.append((masks[0, iou[0].argmax()], iou.max()))
    logits, scores = zip(*found, strict=True)
    return torch.stack(logits), torch.stack(scores)


@pytest.mark.parametrize("at_once", [1, 2 * 256, 100_000])
@pytest.mark.parametrize(("alternatives", "multimask"), [(3, True), (3, False), (0, False)])
@pytest.mark.parametrize("kinds", ["box", "points", "box+points", "box+mask", "mask"])
def test_masks_are_the_stock_decoders(
    kinds: str, alternatives: int, multimask: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "ON_CPU", at_once)
    model, embeddings = small_model(alternatives), torch.randn(2, WIDTH, *GRID)
    prompts = asked([1, 0, 1, 1, 0], kinds)
    with torch.no_grad():
        expected, expected_iou = stock(model, embeddings, prompts, multimask)
        logits, iou = decode_prompts(*model, embeddings, prompts, multimask)
    assert expected.std() > 0.3
    assert (expected[0] - expected[2]).abs().max() > 0.1  # two objects of one image
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(iou, expected_iou, atol=1e-4, rtol=0)


def test_no_objects_have_no_masks() -> None:
    logits, iou = decode_prompts(*small_model(3), torch.randn(2, WIDTH, *GRID), asked([], "box"), True)
    assert enlarged(logits, SIDE, (200, 256), (50, 64)).shape == (0, 50, 64)
    assert iou.shape == (0,)


def test_gradients_are_the_stock_decoders() -> None:
    """``train_teacher.yaml`` trains the compact teacher through this decoder."""
    model, embeddings, prompts = small_model(0), torch.randn(2, WIDTH, *GRID, requires_grad=True), asked([1, 0], "box")
    trained = [embeddings, *(p for p in model[1].parameters())]
    gradients = []
    for decode in (decode_prompts, lambda a, b, *rest: stock((a, b), *rest)):
        logits, iou = decode(*model, embeddings, prompts, False)
        loss = logits.square().mean() / 100 + iou.square().mean()
        gradients.append(torch.autograd.grad(loss, trained, allow_unused=True))
    for ours, theirs, parameter in zip(*gradients, trained, strict=True):
        expected = torch.zeros_like(parameter) if theirs is None else theirs
        got = torch.zeros_like(parameter) if ours is None else ours
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(2, 40),
    st.integers(1, 4),
    st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    st.tuples(st.integers(1, 150), st.integers(1, 150)),
)
def test_one_product_resizes_as_two_interpolations(
    h: int, w: int, factor: int, part: tuple[float, float], size: tuple[int, int]
) -> None:
    logits = torch.randn(3, h, w, generator=torch.Generator().manual_seed(h * w))
    side = factor * 40
    extent = (max(int(side * part[0]), 1), max(int(side * part[1]), 1))
    square = F.interpolate(logits[None], (side, side), mode="bilinear", align_corners=False)
    expected = F.interpolate(square[..., : extent[0], : extent[1]], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(enlarged(logits, side, extent, size), expected, atol=1e-4, rtol=0)


def test_transposed_convolution_is_a_product() -> None:
    upsample, maps = nn.ConvTranspose2d(8, 4, 2, stride=2), torch.randn(2, 8, 5, 6)
    rows = decoding._quarters(upsample, maps.flatten(2).transpose(1, 2))
    pixels = rows.view(2, 5, 6, 2, 2, 4).permute(0, 5, 1, 3, 2, 4).reshape(2, 4, 10, 12)
    torch.testing.assert_close(pixels, upsample(maps), atol=1e-5, rtol=0)
