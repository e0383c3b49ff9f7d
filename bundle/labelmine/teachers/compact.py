"""The compact teacher: segment-anything's prompt encoder and mask decoder on a MobileNetV2 image encoder.

Small enough to ship (under 25 MB) and to run on two CPU cores, so that the main job needs no download. It is trained by
``configs/train_teacher.yaml``; ``models/README.md`` is its card.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from labelmine.errors import ConfigError, WeightsError
from labelmine.prompts import Prompts
from labelmine.teachers.base import Teacher, TeacherMasks
from labelmine.teachers.decoding import decode_prompts, enlarged, scaled
from labelmine.teachers.fingerprint import weights_digest

STRIDE = 8
WIDTH = 256


class CompactImageEncoder(nn.Module):
    """MobileNetV2 features at strides 8, 16 and 32, merged top-down into one map at stride 8 (a small FPN)."""

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        self.features = mobilenet_v2(weights=None).features[:18]
        self.lateral = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in (32, 96, 320))
        self.smooth = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=4),
            LayerNorm2d(WIDTH),
            nn.GELU(),
            nn.Conv2d(WIDTH, WIDTH, 1),
            LayerNorm2d(WIDTH),
        )

    def train(self, mode: bool = True) -> CompactImageEncoder:
        """Keep batch normalisation in evaluation mode: its statistics were folded into the ImageNet weights."""
        super().train(mode)
        self.features.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) in [-1, 1] to (B, 256, S/8, S/8)."""
        maps: list[Tensor] = []
        for index, block in enumerate(self.features):
            x = block(x)
            if index in (6, 13, 17):  # the last blocks of strides 8, 16 and 32
                maps.append(self.lateral[len(maps)](x))
        merged = maps[-1]
        for finer in reversed(maps[:-1]):
            merged = finer + F.interpolate(merged, scale_factor=2.0, mode="bilinear", align_corners=False)
        smoothed: Tensor = self.smooth(merged)
        return smoothed


class CompactTeacher(nn.Module, Teacher):
    """A promptable model of about 7 million parameters.

    Args:
        image_size: Side in pixels of the square that images are resized into; a multiple of 32.
        name: Name for manifests.
        weights_sha256: Hash of the file that the weights came from.
    """

    def __init__(self, image_size: int = 256, name: str = "compact", weights_sha256: str = "") -> None:
        """Build with random weights; see ``build_compact_teacher`` for trained ones."""
        super().__init__()
        self.image_size: int = image_size
        self.name = name
        self.weights_sha256 = weights_sha256
        grid = (image_size // STRIDE, image_size // STRIDE)
        self.image_encoder = CompactImageEncoder()
        self.prompt_encoder = PromptEncoder(
            embed_dim=WIDTH, image_embedding_size=grid, input_image_size=(image_size, image_size), mask_in_chans=16
        )
        transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=1024, num_heads=8)
        # One mask per prompt: the compact teacher is trained on boxes, which are rarely ambiguous.
        self.mask_decoder = MaskDecoder(num_multimask_outputs=0, transformer=transformer, transformer_dim=WIDTH)

    @property
    def fingerprint(self) -> str:
        """Model, input size and weights; see ``Teacher``."""
        return f"compact-{self.image_size}-{weights_digest(self, self.weights_sha256)}"

    @property
    def decoder(self) -> MaskDecoder:
        """The mask decoder."""
        return self.mask_decoder

    def preprocess(self, images: Tensor) -> Tensor:
        """Resize (B, 3, H, W) in [0, 1] to the longest side, scale to [-1, 1], zero-pad at the bottom and right."""
        height, width = self._resized(images.shape[-2:])
        x = F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)
        return F.pad(x * 2 - 1, (0, self.image_size - width, 0, self.image_size - height))

    def encode(self, images: Tensor) -> Tensor:
        """Return (B, 256, h, w) embeddings; see ``Teacher.encode``."""
        embeddings: Tensor = self.image_encoder(self.preprocess(images))
        return embeddings

    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        """Answer all prompts at ``image_size``; see ``Teacher.decode``.

        Raises:
            ConfigError: For mask prompts, which the compact teacher never learnt.
        """
        if prompts.masks is not None:
            raise ConfigError(
                "prompt_kinds: the compact teacher never learnt mask prompts; ask it by points or box, or take SAM "
                "(configs/teacher_sam.yaml)."
            )
        height, width = self._resized(image_size)
        scale = (width / image_size[1], height / image_size[0])
        logits, iou = decode_prompts(
            self.prompt_encoder, self.mask_decoder, embeddings, scaled(prompts, scale), multimask=False
        )
        return TeacherMasks(enlarged(logits, self.image_size, (height, width), image_size), iou.clamp(0, 1))

    def _resized(self, size: Any) -> tuple[int, int]:
        scale = self.image_size / max(size)
        return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def load_imagenet_encoder(teacher: CompactTeacher, state: dict[str, Tensor]) -> None:
    """Start the image encoder from torchvision-named MobileNetV2 weights (``features.*``), before training.

    Raises:
        WeightsError: When weights of the encoder are missing or of another shape.
    """
    wanted = set(teacher.image_encoder.features.state_dict())
    own = {k.removeprefix("features."): v.float() for k, v in state.items()}
    own = {k: v.to(torch.int64) if k.endswith("num_batches_tracked") else v for k, v in own.items() if k in wanted}
    try:
        teacher.image_encoder.features.load_state_dict(own)
    except RuntimeError as error:
        raise WeightsError(
            f"encoder_weights: expected torchvision's MobileNetV2 'features.*'. Got: {str(error)[:300]}"
        ) from error
