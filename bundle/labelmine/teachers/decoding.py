"""segment-anything's prompt encoder and mask decoder, run on many images and many objects in one call.

The weights and the answers are segment-anything's (``MaskDecoder.predict_masks``, ``TwoWayTransformer.forward``). Four
things differ. Every object brings its own image's embedding. A handful of tokens (T, about 7) reads from and writes to
thousands of image positions (P), so the projections are moved from the positions to the tokens: ``(W x) . q`` is
``x . (W^T q)``, which halves the work. Positions stay rows of channels from start to end, so that every product is a
``linear`` of them, the transposed convolutions of stride 2 included. And only the mask that is wanted is made.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn

from labelmine.prompts import Prompts
from labelmine.teachers.linear import linear, linear_each

# Image positions decoded at once: on a CPU as many as its caches hold, on a GPU as bounds memory (about 3 GiB).
ON_CPU, ON_GPU = 4096, 262144


def scaled(prompts: Prompts, scale: tuple[float, float]) -> Prompts:
    """Return prompts with x multiplied by ``scale[0]`` and y by ``scale[1]`` (the teacher's input pixels)."""
    factor = torch.tensor(scale, dtype=torch.float32, device=prompts.image_index.device)
    boxes = None if prompts.boxes is None else prompts.boxes * factor.repeat(2)
    points = None if prompts.points is None else prompts.points * factor
    return Prompts(**{**vars(prompts), "boxes": boxes, "points": points})


def decode_prompts(
    prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, embeddings: Tensor, prompts: Prompts, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Return each object's low-resolution mask logits (N, h, w) and predicted IoU (N,).

    Args:
        prompt_encoder: Embeds points, boxes and masks.
        mask_decoder: Turns embeddings and prompts into masks.
        embeddings: (B, C, h, w) image embeddings.
        prompts: N objects in pixels of the teacher's padded input; mask prompts of another resolution are resized.
        multimask: Whether to take the best, by predicted IoU, of segment-anything's three alternatives, or its single
            mask.
    """
    h, w = embeddings.shape[-2:]
    if not len(prompts):
        return embeddings.new_zeros(0, 4 * h, 4 * w), embeddings.new_zeros(0)
    step = max((ON_CPU if embeddings.device.type == "cpu" else ON_GPU) // (h * w), 1)
    masks = list(range(1, mask_decoder.num_mask_tokens)) if multimask else [0]
    asked = [0, *(1 + m for m in masks)]  # the tokens that are read at the end: predicted IoU, then masks
    position = _rows(prompt_encoder.get_dense_pe())
    parts = []
    for start in range(0, len(prompts), step):
        part = slice(start, start + step)
        some: dict[str, Any] = {k: None if v is None else v[part] for k, v in vars(prompts).items()}
        tokens, image = _embed(prompt_encoder, mask_decoder, embeddings, Prompts(**some))
        answers, image = _transform(mask_decoder.transformer, tokens, image, position, asked)
        parts.append(_predict(mask_decoder, answers, image, (h, w), masks))
    logits, iou = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(iou)


def _embed(
    prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, embeddings: Tensor, prompts: Prompts
) -> tuple[Tensor, Tensor]:
    """Return each object's tokens (N, T, C) and its image, mask prompt added (N, P, C)."""
    points = None
    if prompts.points is not None and prompts.point_labels is not None:
        points = (prompts.points, prompts.point_labels)
    masks = prompts.masks
    if masks is not None and masks.shape[-2:] != prompt_encoder.mask_input_size:
        masks = F.interpolate(masks, prompt_encoder.mask_input_size, mode="bilinear", align_corners=False)
    sparse, dense = prompt_encoder(points=points, boxes=prompts.boxes, masks=masks)
    tokens = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight]).expand(len(prompts), -1, -1)
    image = _rows(embeddings[prompts.image_index]) + dense.flatten(2).transpose(1, 2)
    return torch.cat([tokens, sparse], dim=1), image


def _rows(maps: Tensor) -> Tensor:
    """Turn maps (B, C, h, w) into rows of channels (B, P, C); ATen transposes matrices faster than batches of them."""
    return torch.stack([m.flatten(1).t().contiguous() for m in maps])


def _transform(
    transformer: TwoWayTransformer, tokens: Tensor, image: Tensor, position: Tensor, asked: list[int]
) -> tuple[Tensor, Tensor]:
    """``TwoWayTransformer.forward`` of tokens (N, T, C) and image (N, P, C); of the tokens those asked for return."""
    queries, placed = tokens, image + position
    for block in transformer.layers:
        queries, image = _two_way_block(block, queries, image, tokens, placed)
        placed = image + position
    queries, tokens = queries[:, asked], tokens[:, asked]
    queries = queries + _read(transformer.final_attn_token_to_image, queries + tokens, placed, image)
    return transformer.norm_final_attn(queries), image


def _two_way_block(
    block: TwoWayAttentionBlock, queries: Tensor, image: Tensor, tokens: Tensor, placed: Tensor
) -> tuple[Tensor, Tensor]:
    if block.skip_first_layer_pe:
        queries = block.self_attn(q=queries, k=queries, v=queries)
    else:
        queries = queries + block.self_attn(q=queries + tokens, k=queries + tokens, v=queries)
    queries = block.norm1(queries)
    queries = block.norm2(queries + _read(block.cross_attn_token_to_image, queries + tokens, placed, image))
    queries = block.norm3(queries + block.mlp(queries))
    image = image + _write(block.cross_attn_image_to_token, placed, queries + tokens, queries)
    return queries, block.norm4(image)


def _read(attn: Attention, queries: Tensor, placed: Tensor, image: Tensor) -> Tensor:
    """Tokens attend to the image: ``attn(q=queries, k=placed, v=image)``, without projecting the image.

    The keys' bias adds the same to all scores of a query, which a softmax does not see; the values' bias passes through
    it, as attention weights sum to 1.
    """
    q = _heads(attn, attn.q_proj(queries))
    asked = torch.einsum("nhtd,hdc->nhtc", q, _by_head(attn, attn.k_proj.weight)) / q.shape[-1] ** 0.5
    weights = linear_each(placed, asked.flatten(1, 2)).transpose(1, 2).softmax(-1)  # (N, heads x T, P)
    seen = _product_each(weights, image).view(asked.shape)
    v = torch.einsum("nhtc,hdc->nthd", seen, _by_head(attn, attn.v_proj.weight)).flatten(2)
    out: Tensor = attn.out_proj(v + attn.v_proj.bias)
    return out


def _write(attn: Attention, placed: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The image attends to tokens: ``attn(q=placed, k=keys, v=values)``, without projecting the image."""
    k, v = _heads(attn, attn.k_proj(keys)), _heads(attn, attn.v_proj(values))
    scale = k.shape[-1] ** -0.5
    asked = torch.einsum("nhtd,hdc->nhtc", k, _by_head(attn, attn.q_proj.weight)) * scale
    offset = torch.einsum("nhtd,hd->nht", k, attn.q_proj.bias.view(attn.num_heads, -1)) * scale
    scores = linear_each(placed, asked.flatten(1, 2), offset.flatten(1))
    weights = scores.transpose(1, 2).reshape(*offset.shape, -1).softmax(2).flatten(1, 2)  # (N, heads x T, P)
    told = torch.einsum("nhtd,hdc->nhtc", v, _by_head(attn, attn.out_proj.weight.t())).flatten(1, 2)
    return linear_each(weights.transpose(1, 2), told.transpose(1, 2), attn.out_proj.bias.expand(len(told), -1))


def _heads(attn: Attention, x: Tensor) -> Tensor:
    """Split (N, T, heads x d) to (N, heads, T, d)."""
    return torch.unflatten(x, -1, (attn.num_heads, -1)).transpose(1, 2)


def _by_head(attn: Attention, weight: Tensor) -> Tensor:
    """Split (heads x d, C) to (heads, d, C)."""
    return torch.unflatten(weight, 0, (attn.num_heads, -1))


def _product_each(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``; one by one on a CPU, where MKL's batched product is the slower one."""
    return torch.stack([x @ y for x, y in zip(a, b, strict=True)]) if a.device.type == "cpu" else a @ b


def _predict(
    mask_decoder: MaskDecoder, answers: Tensor, image: Tensor, grid: tuple[int, int], masks: list[int]
) -> tuple[Tensor, Tensor]:
    """Return logits (N, 4h, 4w) and predicted IoU (N,) of the best of M masks, from answers (N, 1 + M, C) and image."""
    iou, best = mask_decoder.iou_prediction_head(answers[:, 0])[:, masks].max(1)
    mlps = [mask_decoder.output_hypernetworks_mlps[m] for m in masks]
    filters = torch.stack([mlp(answers[:, 1 + n]) for n, mlp in enumerate(mlps)], dim=1)
    chosen = filters[torch.arange(len(best), device=best.device), best]  # (N, C / 8)

    first, norm, activation, second, last_activation = mask_decoder.output_upscaling
    x = _quarters(first, image)
    x = activation(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
    x = last_activation(_quarters(second, x)).flatten(1, 3)  # (N, P x 16, C / 8)
    pixels = (x @ chosen[..., None]).view(len(x), *grid, 2, 2, 2, 2)
    return pixels.permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(1, 3), iou


def _quarters(upsample: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """Apply a transposed convolution of kernel and stride 2: (..., C) to the four pixels' (..., 4, C') of each row."""
    weight = upsample.weight.permute(2, 3, 1, 0).flatten(0, 2)
    bias = None if upsample.bias is None else upsample.bias.repeat(4)
    return torch.unflatten(linear(x, weight, bias), -1, (4, -1))


def enlarged(logits: Tensor, side: int, extent: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Resize low-resolution logits as ``Sam.postprocess_masks``: to the padded square, cut, then to the image.

    Both resizes are bilinear, so together they are one matrix per axis: two small products in place of an intermediate
    mask of side x side pixels.

    Args:
        logits: (N, h, w).
        side: Side of the encoder's square input.
        extent: (height, width) that the image fills there.
        size: (H, W) of the image.

    Returns:
        (N, H, W).
    """
    rows = _resize_matrix(logits.shape[1], side, extent[0], size[0]).to(logits)
    columns = _resize_matrix(logits.shape[2], side, extent[1], size[1]).to(logits)
    return linear(linear(logits.transpose(1, 2), rows).transpose(1, 2), columns)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept must serve a later training too, whoever asked first
def _resize_matrix(length: int, side: int, extent: int, size: int) -> Tensor:
    """Return the (size, length) matrix that resizes to ``side``, cuts to ``extent`` and resizes to ``size``."""
    impulses = F.interpolate(torch.eye(length)[None], side, mode="linear", align_corners=False)[..., :extent]
    return F.interpolate(impulses, size, mode="linear", align_corners=False)[0].t().contiguous()
