"""segment-anything's image encoder, computed faster from the same weights.

``encode_images`` gives what ``ImageEncoderViT.forward`` gives. It reads that module's parameters and keeps none of its
own, so state dicts stay segment-anything's.
"""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Attention, Block, window_partition, window_unpartition
from torch import Tensor

from labelmine.teachers.linear import linear

SCORES_AT_ONCE = 2**21  # attention scores that a CPU keeps in its caches: 8 MB


def encode_images(encoder: ImageEncoderViT, images: Tensor) -> Tensor:
    """Return (B, C, h, w) embeddings of preprocessed (B, 3, S, S) images."""
    x: Tensor = encoder.patch_embed(images)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    for block in encoder.blocks:
        x = _block(block, x)
    return _neck(encoder, x)


def _block(block: Block, x: Tensor) -> Tensor:
    x = x + _attention(block.attn, block.norm1(x), block.window_size)
    hidden = block.mlp.act(linear(block.norm2(x), block.mlp.lin1.weight, block.mlp.lin1.bias))
    return x + linear(hidden, block.mlp.lin2.weight, block.mlp.lin2.bias)


def _attention(attn: Attention, x: Tensor, window: int) -> Tensor:
    """Let (B, h, w, C) tokens attend within windows, or all to all where ``window`` is 0."""
    size = padded = (x.shape[1], x.shape[2])
    if window:
        x, padded = window_partition(x, window)
    n, h, w, _ = x.shape
    qkv = linear(x, attn.qkv.weight, attn.qkv.bias).view(n, h * w, 3, attn.num_heads, -1)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    out = _attend(attn, q, k, v, (h, w)).transpose(1, 2).reshape(n, h, w, -1)
    if window:  # before the projection, which need not see the padding
        out = window_unpartition(out, window, padded, size)
    return linear(out, attn.proj.weight, attn.proj.bias)


def _attend(attn: Attention, q: Tensor, k: Tensor, v: Tensor, size: tuple[int, int]) -> Tensor:
    """Attend with (n, heads, h * w, d) queries, keys and values; return the same shape."""
    if not attn.use_rel_pos:
        return F.scaled_dot_product_attention(q, k, v)
    by_row, by_column = _position_terms(attn, q, size)
    if q.device.type != "cpu":
        return _attend_by_flash(q, k, v, by_row, by_column)
    if q.shape[2] ** 2 > SCORES_AT_ONCE:
        return _attend_in_cache(q, k, v, by_row, by_column)
    position = (by_row[..., :, None] + by_column[..., None, :]).flatten(-2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=position)


def _position_terms(attn: Attention, q: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return what queries add to the scores of rows (n, heads, h * w, h) and of columns (n, heads, h * w, w) of keys.

    A score's position term is the sum of the two (MViTv2, Li et al. 2022, eq. 4). They are small; what takes the stock
    encoder's time is to spread them over all pairs.
    """
    grid = torch.unflatten(q, 2, size)
    by_row = torch.einsum("nahwc,hkc->nahwk", grid, _relative(attn.rel_pos_h, size[0]))
    by_column = torch.einsum("nahwc,wkc->nahwk", grid, _relative(attn.rel_pos_w, size[1]))
    return by_row.flatten(2, 3), by_column.flatten(2, 3)


def _relative(table: Tensor, size: int) -> Tensor:
    """Return (size, size, d): the embedding of each pair's distance, from one of (2 size - 1, d)."""
    place = torch.arange(size, device=table.device)
    return table[place[:, None] - place + size - 1]


def _attend_by_flash(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """Make the position terms part of the product of queries and keys: flash kernels take no other.

    A query carries its terms behind its channels, a key a 1 at its own row and at its own column.
    """
    h, w, d = by_row.shape[-1], by_column.shape[-1], q.shape[-1]
    row = torch.eye(h, device=k.device, dtype=k.dtype).repeat_interleave(w, 0)
    column = torch.eye(w, device=k.device, dtype=k.dtype).repeat(h, 1)
    query = torch.cat([q * d**-0.5, by_row.to(q.dtype), by_column.to(q.dtype)], -1)
    key = torch.cat([k, torch.cat([row, column], -1).expand(*k.shape[:2], -1, -1)], -1)
    value = F.pad(v, (0, h + w))  # flash kernels want one width for all three
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :d]


def _attend_in_cache(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """Attend head by head and some queries at a time, so that scores never leave a CPU's caches.

    Twice as fast as ``scaled_dot_product_attention`` with a mask where that multiplies by MKL; see ``linear``.
    """
    tokens, d = q.shape[-2:]
    step = max(SCORES_AT_ONCE // tokens, 1)
    out = q.new_empty(q.shape[0], tokens, q.shape[1], d).transpose(1, 2)
    for image, head in product(range(q.shape[0]), range(q.shape[1])):
        keys, values = k[image, head] * d**-0.5, v[image, head].t().contiguous()
        for start in range(0, tokens, step):
            here = (image, head, slice(start, start + step))
            scores = torch.unflatten(linear(q[here], keys), -1, (by_row.shape[-1], -1))
            scores += by_row[here][:, :, None]
            scores += by_column[here][:, None, :]
            out[here] = linear(scores.flatten(1).softmax(-1), values)
    return out


def _neck(encoder: ImageEncoderViT, x: Tensor) -> Tensor:
    """Reduce (B, h, w, C) tokens to (B, C', h, w), normalising over channels where they lie side by side."""
    reduce, norm1, smooth, norm2 = encoder.neck
    x = linear(x, reduce.weight[:, :, 0, 0])
    x = F.layer_norm(x, x.shape[-1:], norm1.weight, norm1.bias, norm1.eps)
    x = smooth(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    x = F.layer_norm(x, x.shape[-1:], norm2.weight, norm2.bias, norm2.eps)
    return x.permute(0, 3, 1, 2).contiguous()
