"""SAM-HQ's mask decoder as its paper has it, whatever version of transformers runs it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def mend_sam_hq(model: Any) -> None:
    """Let the masks of a ``SamHQModel`` come from the image features that have attended to the prompts.

    The mask decoder of transformers 5 (seen in 5.23) discards the second output of its two-way transformer and upscales
    the image embedding from before it, rows and columns swapped, so that masks lie mirrored at the diagonal. The
    authors' ``MaskDecoderHQ.predict_masks`` and the first version in transformers upscale that second output. Where the
    library does so itself, this changes nothing.

    Args:
        model: A ``SamHQModel``; its decoder gets two forward hooks, once.
    """
    decoder = model.mask_decoder
    if getattr(decoder, "labelmine_mended", False):
        return
    decoder.labelmine_mended = True
    attended: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        attended[:] = [output[1]]  # (batch, objects, h * w, channels)

    def replace(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (attended.pop().transpose(2, 3).reshape(inputs[0].shape),)

    decoder.transformer.register_forward_hook(keep)
    decoder.upscale_conv1.register_forward_pre_hook(replace)
