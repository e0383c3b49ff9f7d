"""The teacher's contract: a large frozen promptable model, paid for once per image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from labelmine.prompts import Prompts


class TeacherMasks(NamedTuple):
    """What a teacher answers to N prompts.

    Attributes:
        logits: (N, H, W) float32 mask logits (foreground above 0) at the size of the images given to ``encode``.
        predicted_iou: (N,) float32, the teacher's own estimate of each mask's IoU, clipped to [0, 1].
    """

    logits: Tensor
    predicted_iou: Tensor


class Teacher(ABC):
    """A frozen promptable segmentation model.

    Attributes:
        name: Short name for manifests, for example ``compact`` or ``sam_vit_b``.
        weights_sha256: Hash of the weights file (empty for weights that came from no file).
        trained_on: Digests of the images that it was trained on (see ``seen_images``); empty where it kept no list.
        multimask: Whether it proposes three masks to a prompt and the best is taken, or its single one; may be set.
            None: it has but one.
        decoder_sha256: Hash of its decoder, where gold fitted it (see ``labelmine.teachers.fitted``); else empty.
        image_size: Side in pixels of the square that it resizes images to; views for it need be no larger, and should
            be no smaller (see ``StudentView``). None: it says nothing, and sees what the student sees.
    """

    name: str
    weights_sha256: str
    trained_on: frozenset[str] = frozenset()
    multimask: bool | None = None
    image_size: int | None = None
    decoder_sha256: str = ""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """All that an embedding depends on besides its image: model, preprocessing, precision and weights."""

    @property
    def decoder(self) -> nn.Module | None:
        """What turns an embedding and prompts into masks; gold may fit it. None: it is not to be fitted."""
        return None

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Return (B, ...) embeddings of (B, 3, H, W) float RGB images in [0, 1]; preprocessing included.

        What lies behind the first dimension is the teacher's own affair; only ``decode`` reads it.
        """

    @abstractmethod
    def decode(self, embeddings: Tensor, prompts: Prompts, image_size: tuple[int, int]) -> TeacherMasks:
        """Answer all N prompts in one call; ``image_size`` is the (H, W) that was given to ``encode``."""
