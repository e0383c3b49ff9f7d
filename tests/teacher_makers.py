"""Teachers in miniature with random weights: the families' own building blocks, small."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

#: Side of the images that the small SAM is built for.
SAM_SIDE = 256
WIDTH = 16
DECODER = {
    "hidden_size": WIDTH, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16, "num_hidden_layers": 2,
}  # fmt: skip
PYRAMID = {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": WIDTH}


def small_sam(seed: int = 0) -> Sam:
    """A whole SAM with random weights, SAM's own building blocks in miniature."""
    torch.manual_seed(seed)
    grid = SAM_SIDE // 16
    model = Sam(
        image_encoder=ImageEncoderViT(
            img_size=SAM_SIDE,
            patch_size=16,
            embed_dim=64,
            depth=2,
            num_heads=4,
            out_chans=32,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=7,
            global_attn_indexes=[1],
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=32, image_embedding_size=(grid, grid), input_image_size=(SAM_SIDE, SAM_SIDE), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=4),
            transformer_dim=32,
            iou_head_depth=3,
            iou_head_hidden_dim=32,
        ),
    )
    # Random position embeddings: those of a fresh encoder are zero and would hide a shift of the image.
    torch.nn.init.normal_(model.image_encoder.pos_embed, std=0.5)
    # Logits of some units, as trained weights give them, so that a tolerance of 1e-4 means something.
    with torch.no_grad():
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.layers[-1].weight *= 50
    return model.eval()


def tiny_pyramid(prefix: str, vision: Any, side: int, patch: int) -> Any:
    transformers = pytest.importorskip("transformers")
    prompt = {"hidden_size": WIDTH, "image_size": side, "patch_size": patch, "mask_input_channels": 8}
    config = getattr(transformers, f"{prefix}Config")(
        vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=DECODER
    )
    return getattr(transformers, f"{prefix}Model")(config)


def tiny_sam2() -> Any:
    transformers = pytest.importorskip("transformers")
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8, image_size=[64, 64], blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[4, 2, 2, 2], global_attention_blocks=[3],
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], **PYRAMID)
    return tiny_pyramid("Sam2", vision, side=64, patch=16)


def square(image_processor: str, side: int) -> Any:
    transformers = pytest.importorskip("transformers")
    made = getattr(transformers, image_processor)
    return made(size={"height": side, "width": side}, mask_size={"height": side // 4, "width": side // 4})
