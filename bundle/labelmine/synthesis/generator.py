"""The network that makes images: with their masks, on given masks, or without any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from monai.networks.nets import DiffusionModelUNet, SPADEDiffusionModelUNet
from torch import Tensor, nn

from labelmine.errors import ConfigError, WeightsError
from labelmine.ranges import check_number
from labelmine.synthesis.process import Kind, NoiseProcess
from labelmine.weights import load_state_dict_safely, write_weights

Content = Literal["pairs", "images", "images_on_masks"]
CONTENTS: tuple[Content, ...] = ("pairs", "images", "images_on_masks")
COLOURS = 3
FORMAT = "labelmine-generator-1"


class Generator(nn.Module):
    """A diffusion model of images in [-1, 1], with what is needed to use it.

    Args:
        class_names: Foreground classes; K of them.
        image_size: Side of its images in pixels.
        content: ``pairs``: images and masks together, 3 + K channels (S4). ``images``: 3 channels. ``images_on_masks``:
            3 channels, made to fit given masks (SPADE, Park et al. 2019).
        kind: See ``NoiseProcess``.
        channels: Of each level; each level halves the image. Multiples of 32.
        attention: Which levels look at the whole image at once.
        res_blocks: Residual blocks per level.
        clusters: Kinds of images that it is told apart by (one model for all, where S4 trains one for each); 0: none.
        bfloat16: Whether it computes in bfloat16 where that is safe: faster on GPUs and on CPUs with AVX512-BF16. It is
            no part of the file.

    Raises:
        ConfigError: When a knob is out of range.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        image_size: int = 64,
        content: Content = "pairs",
        kind: Kind = "flow",
        channels: Sequence[int] = (64, 128, 192),
        attention: Sequence[bool] = (False, False, True),
        res_blocks: int = 2,
        clusters: int = 0,
        bfloat16: bool = False,
    ) -> None:
        """Build the network."""
        super().__init__()
        if content not in CONTENTS:
            raise ConfigError(f"content: expected one of {', '.join(CONTENTS)}. Got: '{content}'")
        check_number("image_size", image_size, 1, whole=True)
        check_number("res_blocks", res_blocks, 1, whole=True)
        check_number("clusters", clusters, 0, whole=True)
        if image_size % 2 ** (len(channels) - 1):
            raise ConfigError(
                f"image_size: expected a multiple of {2 ** (len(channels) - 1)}, as {len(channels)} levels halve it "
                f"{len(channels) - 1} times. Got: {image_size}"
            )
        self.class_names = tuple(class_names)
        self.image_size = image_size
        self.content = content
        self.clusters = clusters
        self.mixed = bfloat16
        self.spec = {"channels": list(channels), "attention": list(attention), "res_blocks": res_blocks}
        self.process = NoiseProcess(kind)
        common: dict[str, Any] = {
            "spatial_dims": 2,
            "in_channels": self.image_channels,
            "out_channels": self.image_channels,
            "num_res_blocks": res_blocks,
            "channels": tuple(channels),
            "attention_levels": tuple(attention),
            "num_head_channels": 32,
            "num_class_embeds": clusters or None,
        }
        self.network: nn.Module = (
            SPADEDiffusionModelUNet(label_nc=len(self.class_names), **common)
            if content == "images_on_masks"
            else DiffusionModelUNet(**common)
        )

    @property
    def image_channels(self) -> int:
        """Channels of what it makes."""
        return COLOURS + (len(self.class_names) if self.content == "pairs" else 0)

    def forward(
        self, noisy: Tensor, times: Tensor, clusters: Tensor | None = None, masks: Tensor | None = None
    ) -> Tensor:
        """Return velocities (B, C, H, W).

        Args:
            noisy: (B, C, H, W) images with noise.
            times: (B,) times of the noise.
            clusters: (B,) int64 kinds of image, where the generator knows kinds.
            masks: (B, K, H, W) in [0, 1], where it draws on masks.
        """
        known: dict[str, Tensor] = {}
        if self.clusters:
            known["class_labels"] = torch.zeros_like(times) if clusters is None else clusters
        if self.content == "images_on_masks":
            if masks is None:
                raise ConfigError("a generator of images on masks needs masks (B, K, H, W)")
            known["seg"] = masks
        with torch.autocast(noisy.device.type, torch.bfloat16, enabled=self.mixed):
            answer: Tensor = self.network(noisy, timesteps=times, **known)
        return answer.float()

    def save(self, path: str | Path, **metadata: Any) -> None:
        """Write weights and what is needed to rebuild the generator as one safetensors file, atomically."""
        spec = {
            "format": FORMAT,
            "class_names": self.class_names,
            "image_size": self.image_size,
            "content": self.content,
            "kind": self.process.kind,
            "clusters": self.clusters,
            **self.spec,
            **metadata,
        }
        weights = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        write_weights(path, weights, {"spec": json.dumps(spec)})

    @classmethod
    def load(cls, path: str | Path, bfloat16: bool = False) -> tuple[Generator, dict[str, Any]]:
        """Return a saved generator in evaluation mode, and all that its file says of it.

        Args:
            path: The file.
            bfloat16: See the class.

        Raises:
            WeightsError: The file is missing, damaged or of another origin.
        """
        weights, metadata = load_state_dict_safely(path)
        spec = json.loads(metadata.get("spec", "{}"))
        if spec.get("format") != FORMAT:
            raise WeightsError(
                f"{Path(path).name}: expected a generator that synthesize.yaml trained, got another file."
            )
        names = ("class_names", "image_size", "content", "kind", "clusters", "channels", "attention", "res_blocks")
        generator = cls(**{name: spec[name] for name in names}, bfloat16=bfloat16)
        generator.network.load_state_dict(weights)
        return generator.eval(), spec
