"""What a student's encoder starts from; a pretrained one must not have seen the images of its exam."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import torch

from labelmine.data import ImageSet
from labelmine.errors import DataError, WeightsError
from labelmine.networks import Student
from labelmine.pretrain import ENCODER_FORMAT
from labelmine.teachers.build import image_digest
from labelmine.weights import load_state_dict_safely, weights_path


def starting_weights(encoder_weights: str | None, pretrained: str | None, images: ImageSet) -> str | None:
    """Return what a student starts from: the pretrained encoder, if one is given, else ``encoder_weights``.

    Args:
        encoder_weights: Knob of the same name.
        pretrained: ``encoder.safetensors`` of ``pretrain_simclr.yaml``, or None.
        images: The student's image set.

    Raises:
        WeightsError: A file of another origin.
        DataError: The encoder has seen images that choose or examine the student.
    """
    if not pretrained:
        if encoder_weights not in (None, "imagenet"):
            path = weights_path(encoder_weights)
            advice = "Give --encoder_weights imagenet, null, or a file that has not seen them."
            _refuse_seen(images, load_state_dict_safely(path)[1], path.name, advice)
        return encoder_weights
    path = weights_path(pretrained)
    metadata = load_state_dict_safely(path)[1]
    if metadata.get("format") != ENCODER_FORMAT:
        raise WeightsError(
            f"pretrained: expected the encoder.safetensors of a pretrain_simclr.yaml run, got {path.name} of another "
            "origin. Give it as --encoder_weights instead."
        )
    advice = (
        "Pretrain with this run's --seed, --val_fraction and --test_fraction (the file's seed is "
        f"{json.loads(metadata['recipe']).get('seed')})."
    )
    _refuse_seen(images, metadata, path.name, advice)
    return str(path)


def new_student(
    class_names: Sequence[str],
    encoder: str,
    encoder_weights: str | None,
    exclusive: bool,
    seed: int,
    device: str,
) -> Student:
    """Return an untrained student; the same seed gives the same one."""
    torch.manual_seed(seed)
    return Student(list(class_names), encoder, encoder_weights, exclusive).to(device)


def _refuse_seen(images: ImageSet, metadata: Mapping[str, str], file: str, advice: str) -> None:
    """Refuse weights whose file says that they were trained on images which choose or examine the student."""
    trained_on = frozenset(json.loads(metadata.get("trained_on", "[]")))
    held_out = images.val + images.test if trained_on else []
    seen = [item["id"] for item in held_out if image_digest(item["image"]) in trained_on]
    if seen:
        raise DataError(
            f"{file} was trained on {len(seen)} of the {len(held_out)} images that validate or test this run, for "
            f"example {seen[0]}. {advice}"
        )
