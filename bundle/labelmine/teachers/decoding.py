"""segment-anything's prompt encoder and mask decoder, run on many images and many objects in one call.

The stock decoder takes the embedding of one image; here every object brings its own image's embedding. The weights and
the arithmetic are segment-anything's (``MaskDecoder.predict_masks``), only the batching differs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder
from torch import Tensor

from labelmine.prompts import Prompts


def scaled(prompts: Prompts, scale: tuple[float, float]) -> Prompts:
    """Return prompts with x multiplied by ``scale[0]`` and y by ``scale[1]`` (the teacher's input pixels)."""
    factor = torch.tensor(scale, dtype=torch.float32, device=prompts.image_index.device)
    boxes = None if prompts.boxes is None else prompts.boxes * factor.repeat(2)
    points = None if prompts.points is None else prompts.points * factor
    return Prompts(**{**vars(prompts), "boxes": boxes, "points": points})


def decode_prompts(
    prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, embeddings: Tensor, prompts: Prompts, multimask: bool
) -> tuple[Tensor, Tensor]:
    """Return low-resolution mask logits (N, M, h, w) and predicted IoU (N, M); M is 3 with ``multimask``, else 1.

    Args:
        prompt_encoder: Embeds points, boxes and masks.
        mask_decoder: Turns embeddings and prompts into masks.
        embeddings: (B, C, h, w) image embeddings.
        prompts: N objects in pixels of the teacher's padded input; mask prompts of another resolution are resized.
        multimask: Whether to return segment-anything's three alternatives or its single mask.
    """
    points = None
    if prompts.points is not None and prompts.point_labels is not None:
        points = (prompts.points, prompts.point_labels)
    masks = prompts.masks
    if masks is not None and masks.shape[-2:] != prompt_encoder.mask_input_size:
        masks = F.interpolate(masks, prompt_encoder.mask_input_size, mode="bilinear", align_corners=False)
    sparse, dense = prompt_encoder(points=points, boxes=prompts.boxes, masks=masks)
    source = embeddings[prompts.image_index] + dense
    position = prompt_encoder.get_dense_pe().expand(len(prompts), -1, -1, -1)
    tokens = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight]).expand(len(prompts), -1, -1)
    tokens = torch.cat([tokens, sparse], dim=1)

    n, c, h, w = source.shape
    answer, source = mask_decoder.transformer(source, position, tokens)
    upscaled = mask_decoder.output_upscaling(source.transpose(1, 2).reshape(n, c, h, w))
    kept = range(1, mask_decoder.num_mask_tokens) if multimask else range(1)
    hyper = torch.stack([mask_decoder.output_hypernetworks_mlps[i](answer[:, 1 + i]) for i in kept], dim=1)
    logits = torch.einsum("nmc,nchw->nmhw", hyper, upscaled)
    iou = mask_decoder.iou_prediction_head(answer[:, 0])[:, kept.start : kept.stop]
    return logits, iou
