"""SimCLR's network: the student's encoder and a projection head that is thrown away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from labelmine.networks import Student
from labelmine.ranges import check_number
from labelmine.weights import write_weights

ENCODER_FORMAT = "labelmine-simclr-encoder"


class SimCLR(nn.Module):
    """A student's encoder with a projection head of two layers (Chen et al. 2020, arXiv 2002.05709, section 2.1).

    Input normalisation and start are those of `Student`. Where the start's batch normalisation was folded into its
    convolutions, all of the encoder's stays in evaluation mode: the saved file is then folded as a whole, and is taken
    for it when a student loads it.

    Args:
        encoder: Name of an encoder of segmentation_models_pytorch.
        encoder_weights: What `Student` starts from: ``None``, ``imagenet``, or a name or path of a weights file.
        projection: Length of the projections that are compared.

    Raises:
        ConfigError: When smp does not know the encoder.
        WeightsError: When the start's weights are missing or belong to another encoder.

    Example:
        >>> SimCLR("mobilenet_v2").eval()(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 128])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: str = "resnet34", encoder_weights: str | None = None, projection: int = 128) -> None:
        """Take the encoder of a new student and put the head on it."""
        super().__init__()
        check_number("projection", projection, 1, whole=True)
        student = Student(encoder=encoder, encoder_weights=encoder_weights)
        self.name = encoder
        self.encoder = student.network.encoder
        self.register_buffer("mean", student.mean)
        self.register_buffer("std", student.std)
        width = self.encoder.out_channels[-1]
        self.head = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, projection),
        )
        self._frozen = [m for m in self.encoder.modules() if isinstance(m, nn.BatchNorm2d)] if student._frozen else []

    def train(self, mode: bool = True) -> SimCLR:
        """Switch mode; batch normalisation of a folded encoder stays in evaluation mode."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def features(self, images: Tensor) -> Tensor:
        """Return (N, C) means over the deepest feature map of images (N, 3, H, W) in [0, 1]."""
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        deepest: Tensor = self.encoder(x)[-1]
        return deepest.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return projections (N, projection)."""
        projections: Tensor = self.head(self.features(images))
        return projections

    def save_encoder(
        self, path: str | Path, trained_on: Iterable[str] = (), recipe: Mapping[str, Any] | None = None
    ) -> None:
        """Write the encoder alone, in a form that a student's ``encoder_weights`` takes as it is; atomically.

        Args:
            path: A safetensors file.
            trained_on: Digests of the images it was trained on, so that no later run examines on them.
            recipe: What the file should remember of its making; JSON-able.
        """
        state = {k: v.detach().cpu().contiguous() for k, v in self.encoder.state_dict().items()}
        metadata = {
            "format": ENCODER_FORMAT,
            "encoder": self.name,
            "mean": json.dumps(self.mean.flatten().tolist()),
            "std": json.dumps(self.std.flatten().tolist()),
            "trained_on": json.dumps(sorted(trained_on)),
            "recipe": json.dumps(dict(recipe or {})),
        }
        write_weights(path, state, metadata)
