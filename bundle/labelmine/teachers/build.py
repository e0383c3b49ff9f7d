"""Building teachers from their weights, and saving the compact teacher with the list of what it has seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from labelmine.errors import WeightsError
from labelmine.teachers.base import Teacher
from labelmine.teachers.compact import CompactTeacher
from labelmine.weights import load_state_dict_safely, sha256_of, weights_path, write_weights

Model = TypeVar("Model", bound=nn.Module)

FORMAT = "labelmine-compact-teacher"
DIGEST_LENGTH = 16  # hex digits of an image file's sha256: 64 bits, enough to tell a thousand images apart


def image_digest(path: str | Path) -> str:
    """Return the first 16 hex digits of a file's sha256: names an image without holding any of it."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:DIGEST_LENGTH]


def save_compact_teacher(
    teacher: CompactTeacher,
    path: str | Path,
    images: Iterable[str | Path] = (),
    recipe: dict[str, Any] | None = None,
    seen_before: Iterable[str] = (),
) -> Path:
    """Write a compact teacher as half-precision safetensors, with its recipe and its training images' digests.

    Args:
        teacher: A trained teacher.
        path: File to write.
        images: Paths of the images it was trained on, so that later runs can refuse to let it mark its own exam.
        seen_before: Digests of images that an earlier training saw.
        recipe: What the model card should say; JSON-able.
    """
    path = Path(path)
    state = {k: v.half() if v.is_floating_point() else v for k, v in teacher.state_dict().items()}
    state = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    metadata = {
        "format": FORMAT,
        "image_size": str(teacher.image_size),
        "trained_on": json.dumps(sorted({*seen_before, *map(image_digest, images)})),
        "recipe": json.dumps(recipe or {}),
    }
    write_weights(path, state, metadata)
    return path


def build_compact_teacher(name_or_path: str = "compact", device: str | torch.device = "cpu") -> CompactTeacher:
    """Return a frozen compact teacher in evaluation mode.

    Args:
        name_or_path: ``compact``, another name of ``models/``, or the path of a file that ``train_teacher.yaml`` wrote.
        device: Where to put it.

    Raises:
        WeightsError: When the file is missing, unsafe, damaged or not a compact teacher.
    """
    path = weights_path(name_or_path)
    state, metadata = load_state_dict_safely(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path.name} holds weights of another model, not of a compact teacher. For SAM or MedSAM weights use the "
            "overlay configs/teacher_sam.yaml or configs/teacher_medsam.yaml."
        )
    teacher = CompactTeacher(int(metadata["image_size"]), name=path.stem, weights_sha256=sha256_of(path))
    try:
        teacher.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    except RuntimeError as error:
        raise WeightsError(
            f"{path.name}: the weights do not fit this version's compact teacher: {str(error)[:300]}"
        ) from error
    teacher.trained_on = frozenset(json.loads(metadata["trained_on"]))
    return frozen(teacher).to(device)


def frozen(teacher: Model) -> Model:
    """Put a teacher into evaluation mode without gradients."""
    return teacher.eval().requires_grad_(False)


def seen_images(teacher: Teacher, paths: Iterable[str | Path]) -> list[str]:
    """Return the names of those image files that the teacher was trained on (principle: no own exam).

    Only teachers that recorded their training images can be asked; for others the list is empty.
    """
    trained_on = teacher.trained_on
    return [Path(p).name for p in paths if image_digest(p) in trained_on] if trained_on else []
