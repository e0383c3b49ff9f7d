"""The bundle as MONAI's own programs take it: ``monai.bundle.load``, MONAI Label's ``monaibundle`` app, the model zoo.

They want the student's weights in ``models/model.pt``, configs that ``monai.bundle.load`` reads as JSON alone, and
metadata whose channels are the labels that a person chooses among: ``background`` and the student's classes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from labelmine.errors import ConfigError, WeightsError
from labelmine.weights import load_state_dict_safely

#: Configs of which there is a JSON twin.
TWINS = ("train", "inference")
METADATA, STUDENT, WEIGHTS = "configs/metadata.json", "models/model.safetensors", "models/model.pt"


def student_files(student: Path, metadata: Path) -> dict[str, bytes]:
    """Return the files of a bundle that depend on its student, by their names in it.

    Args:
        student: Its ``model.safetensors``.
        metadata: ``metadata.json`` of the bundle, whose description of the output is replaced by the student's.

    Raises:
        WeightsError: No student of labelmine's.
    """
    state, said = load_state_dict_safely(student)
    if "labelmine" not in said:
        raise WeightsError(f"{student.name}: expected a student that labelmine wrote, got weights of another model")
    spec = json.loads(said["labelmine"])
    described = _described(metadata.read_text(encoding="utf-8"), spec["class_names"], spec["exclusive"])
    content = io.BytesIO()
    torch.save({name: value.float() if value.is_floating_point() else value for name, value in state.items()}, content)
    return {STUDENT: student.read_bytes(), WEIGHTS: content.getvalue(), METADATA: described.encode()}


def json_twin(config: Path, content: bytes | None = None) -> bytes:
    """Return the JSON of a YAML config.

    Args:
        config: The file.
        content: What it is to say; None: as it is.

    Raises:
        ConfigError: No such config.
    """
    if not config.is_file():
        raise ConfigError(f"expected the config {config}, found none; the bundle carries a JSON twin of it")
    parsed = yaml.safe_load(config.read_bytes() if content is None else content)
    return json.dumps(parsed, indent=4, ensure_ascii=False).encode()


def _described(metadata: str, names: Sequence[str], exclusive: bool) -> str:
    """Name a student's classes in metadata; those of the student that they describe already stay as they are."""
    content: dict[str, Any] = json.loads(metadata)
    output = content["network_data_format"]["outputs"]["pred"]
    channels = {str(number): name for number, name in enumerate(["background", *names])}
    count = len(names) + int(exclusive)
    if (output["num_channels"], output["channel_def"]) == (count, channels):
        return metadata
    output |= {"num_channels": count, "channel_def": channels}
    form = "logits of background and of each class" if exclusive else "one channel of logits per class"
    content["pred_classes"] = f"{form}; the classes are {', '.join(names)}"
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"
