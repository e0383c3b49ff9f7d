"""What a teacher's training starts from."""

from __future__ import annotations

from typing import Any

from labelmine.teachers import CompactTeacher, build_compact_teacher
from labelmine.teachers.compact import load_imagenet_encoder
from labelmine.weights import load_state_dict_safely


def start_compact_teacher(
    image_size: int = 256, imagenet_weights: str | None = None, initial_teacher: str | None = None
) -> CompactTeacher:
    """Return a compact teacher to train: from an earlier one, from ImageNet weights, or from scratch."""
    if initial_teacher:
        return build_compact_teacher(initial_teacher).requires_grad_(True)
    teacher = CompactTeacher(image_size)
    if imagenet_weights:
        load_imagenet_encoder(teacher, load_state_dict_safely(imagenet_weights)[0])
    return teacher


def parameter_groups(teacher: CompactTeacher) -> list[dict[str, Any]]:
    """Return two groups for an optimizer: the pretrained image features first, then all that is new."""
    pretrained = list(teacher.image_encoder.features.parameters())
    ids = {id(p) for p in pretrained}
    return [{"params": pretrained}, {"params": [p for p in teacher.parameters() if id(p) not in ids]}]
