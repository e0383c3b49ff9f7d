"""The image encoder at the precision, and compiled where, that suits the device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, get_args

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.teachers.fast_encoder import encode_images

logger = logging.getLogger(__name__)

Precision = Literal["auto", "float32", "bfloat16"]


class AcceleratedEncoder:
    """Runs a ``segment_anything`` image encoder by ``encode_images``. No module: the parameters stay their owner's.

    Args:
        encoder: The image encoder.
        precision: ``bfloat16`` multiplies and attends in bfloat16 and keeps sums, norms and weights in float32;
            ``auto`` does so on GPUs made for it and takes ``float32`` elsewhere.
        compile: Whether to run through ``torch.compile``; ``auto`` on CUDA only. The first images then take a minute.
            Where compilation fails the encoder warns and runs uncompiled.

    Raises:
        ConfigError: When a knob has another value.
    """

    def __init__(
        self, encoder: ImageEncoderViT, precision: Precision = "auto", compile: bool | Literal["auto"] = "auto"
    ) -> None:
        """Check the knobs; nothing is compiled before the first images."""
        if precision not in get_args(Precision):
            raise ConfigError(f"precision: expected one of {', '.join(get_args(Precision))}. Got: {precision!r}")
        if compile not in (True, False, "auto"):
            raise ConfigError(f"compile: expected true, false or auto. Got: {compile!r}")
        self.encoder = encoder
        self.precision: Precision = precision
        self.compile = compile
        self._compiled: Callable[[ImageEncoderViT, Tensor], Tensor] | None = None

    def precision_on(self, device: torch.device) -> Literal["float32", "bfloat16"]:
        """Return the precision that images on this device are encoded in."""
        if self.precision != "auto":
            return self.precision
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if fast else "float32"

    def __call__(self, images: Tensor) -> Tensor:
        """Return (B, C, h, w) float32 embeddings of preprocessed (B, 3, S, S) images."""
        lower = self.precision_on(images.device) == "bfloat16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=lower):
            return self._encode(images).float()

    def _encode(self, images: Tensor) -> Tensor:
        if self.compile == "auto":
            self.compile = images.device.type == "cuda"
        if not self.compile:
            return encode_images(self.encoder, images)
        try:
            self._compiled = self._compiled or torch.compile(encode_images)
            return self._compiled(self.encoder, images)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers fail in many ways: no Triton, no C compiler, a kernel they cannot make
            logger.warning(
                "torch.compile failed (%s: %.300s): the image encoder runs uncompiled. Set compile: false to say so at "
                "once.",
                type(error).__name__,
                error,
            )
            self.compile = False
            return encode_images(self.encoder, images)
