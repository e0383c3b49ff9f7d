"""The student's view: every image, whole, in one square; and the way back to the original size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.transforms import Transform
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.ranges import check_number

#: Key of what a teacher sees of an image, where it looks closer than the student.
TEACHER_IMAGE = "teacher_image"


class StudentView(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Resize to ``image_size`` on the longest side and zero-pad at the bottom and right to a square.

    The whole image stays visible, so labels and metrics can go back to the original size. (S1 crops the centre of the
    shortest side instead: what lies outside could be neither labelled nor measured.)

    Args:
        image_size: Side of the square in pixels; a multiple of 32, as U-Net++ halves five times.
        teacher_size: Side of the square that a teacher resizes images to. Where it is the larger one, views hold
            ``teacher_image`` besides, uint8 (3, T, T), so that the teacher sees what the student's view has lost; see
            ``teacher_images``. None: they do not.

    Raises:
        ConfigError: When ``image_size`` is no positive multiple of 32.

    Example:
        >>> sample = {"image": torch.rand(3, 40, 80), "label": torch.ones(1, 40, 80), "is_labeled": True}
        >>> view = StudentView(64)(sample)
        >>> view["image"].shape, view["weight"].mean().item()
        (torch.Size([3, 64, 64]), 0.5)
    """

    def __init__(self, image_size: int, teacher_size: int | None = None) -> None:
        """Check and keep the sizes."""
        check_number("image_size", image_size, 32, whole=True, hint="a multiple of 32")
        if image_size % 32:
            raise ConfigError(f"image_size: expected a multiple of 32. Got: {image_size}")
        self.image_size = image_size
        self.teacher_size = teacher_size if teacher_size is not None and teacher_size > image_size else None

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy with ``image``, ``label`` and ``weight`` (1 inside the image, 0 in the padding) as squares.

        Adds ``original_size``, an int64 tensor (H, W). A ``weight`` (1, H, W) in the input is resized and kept.
        """
        image, label = data["image"], data["label"]
        original = (int(image.shape[-2]), int(image.shape[-1]))
        weight = data["weight"] if "weight" in data else torch.ones(1, *original)
        size = view_extent(original, self.image_size)
        view = {
            **data,
            "image": _fitted(image, self.image_size),
            "label": self._pad(F.interpolate(label[None], size, mode="nearest-exact")[0]),
            "weight": self._pad(F.interpolate(weight[None], size, mode="nearest-exact")[0]),
            "original_size": torch.tensor(original),
        }
        if self.teacher_size is not None:
            view[TEACHER_IMAGE] = (_fitted(image, self.teacher_size) * 255).round().to(torch.uint8)
        return view

    def _pad(self, x: Tensor) -> Tensor:
        return _padded(x, self.image_size)


def teacher_images(batch: Mapping[str, Any]) -> Tensor:
    """Return what a teacher is to see of a batch of views, (B, 3, T, T) float32 in [0, 1]: the student's, or finer.

    Its answers fit the student's view all the same, as both are squares of one picture: give ``Teacher.decode`` the
    size of the student's.
    """
    images: Tensor = batch[TEACHER_IMAGE] / 255 if TEACHER_IMAGE in batch else batch["image"]
    return images


def asked_part(batch: Mapping[str, Any], device: torch.device | str) -> dict[str, Tensor]:
    """Return what a student and a teacher need of a batch of views to answer it, on a device."""
    return {key: batch[key].to(device) for key in ("image", "weight", TEACHER_IMAGE) if key in batch}


def _fitted(image: Tensor, side: int) -> Tensor:
    size = view_extent((int(image.shape[-2]), int(image.shape[-1])), side)
    return _padded(F.interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1), side)


def _padded(x: Tensor, side: int) -> Tensor:
    return F.pad(x, (0, side - x.shape[-1], 0, side - x.shape[-2]))


def view_extent(original: tuple[int, int], image_size: int) -> tuple[int, int]:
    """Return the (h, w) that an image of size ``original`` (H, W) fills in a view of side ``image_size``."""
    scale = image_size / max(original)
    return max(round(original[0] * scale), 1), max(round(original[1] * scale), 1)


def to_original(view: Tensor, original: tuple[int, int]) -> Tensor:
    """Take probabilities or soft masks (C, S, S) of a square view back to (C, H, W), bilinearly."""
    height, width = view_extent(original, int(view.shape[-1]))
    return F.interpolate(view[None, :, :height, :width].float(), original, mode="bilinear", align_corners=False)[0]
