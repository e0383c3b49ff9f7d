"""Loading promptable models of transformers: from a folder or the hub, safetensors only, no foreign code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from safetensors import SafetensorError

from labelmine.errors import ConfigError, WeightsError
from labelmine.extras import extra
from labelmine.hub import hub_folder, is_hub_id
from labelmine.weights import sha256_of

# The model classes that take image embeddings with prompts, and the processor each is to be used with (checkpoints
# of SAM 2 and EdgeTAM name that of their video models).
PROCESSORS: Mapping[str, str] = MappingProxyType(
    {
        "SamModel": "SamProcessor",
        "SamHQModel": "SamHQProcessor",
        "Sam2Model": "Sam2Processor",
        "EdgeTamModel": "Sam2Processor",
        "Sam3TrackerModel": "Sam3TrackerProcessor",
    }
)
FILES = ("*.json", "model.safetensors", "model-*.safetensors")  # all that is fetched


class LoadedModel(NamedTuple):
    """A model of transformers with its processor, its name for manifests and the hash of its weights."""

    model: Any
    processor: Any
    name: str
    sha256: str


def load_model(weights: str) -> LoadedModel:
    """Load a promptable model by the path of a folder or by its hub id.

    Raises:
        ConfigError: When transformers is not installed or the model is of no known family.
        WeightsError: When files are missing, damaged, cannot be reached, or do not fit the model.
    """
    transformers = _transformers()
    folder = model_folder(weights)
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{weights}: found no model in it (no config.json); {REMEDY}")
    try:
        model, report = transformers.AutoModelForMaskGeneration.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{weights}: the model cannot be loaded ({_first_line(error)}); {REMEDY}") from error
    except ValueError as error:
        raise ConfigError(
            f"{weights}: expected a model of {', '.join(PROCESSORS)}, found another ({_first_line(error)})"
        ) from error
    # transformers would fill what the file lacks with random numbers and only warn of it.
    if lacking := sorted(report["missing_keys"]):
        raise WeightsError(f"{weights}: the file lacks {len(lacking)} of the model's weights ({lacking[0]}); {REMEDY}")
    family = type(model).__name__
    if family not in PROCESSORS:
        raise ConfigError(f"{weights}: expected a model of {', '.join(PROCESSORS)}. Got: {family}")
    try:
        processor = getattr(transformers, PROCESSORS[family]).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{weights}: found no settings of its preprocessing ({_first_line(error)}); save them beside the model by "
            "processor.save_pretrained(FOLDER)"
        ) from error
    return LoadedModel(model, processor, Path(weights).name, files_sha256(folder))


REMEDY = (
    "expected a folder that save_pretrained wrote (config.json, model.safetensors, preprocessor_config.json) or a hub "
    "id such as facebook/sam-vit-base. Without internet, fetch it elsewhere by 'hf download ID --local-dir FOLDER' and "
    "give the folder"
)


def model_folder(weights: str) -> Path:
    """Return the folder itself, or where the hub's client keeps its copy of a repository, fetched once.

    Raises:
        WeightsError: When there is no such folder and the hub has no such model or cannot be reached.
    """
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return folder
    if not is_hub_id(weights):
        raise WeightsError(f"found no folder '{weights}', nor is that the id of a model; {REMEDY}")
    return hub_folder(weights, FILES, REMEDY)


def files_sha256(folder: Path) -> str:
    """SHA-256 of the model's weights file; of a sharded model, of its files' hashes in order of their names."""
    whole = folder / "model.safetensors"
    if whole.is_file():
        return sha256_of(whole)
    shards = sorted(folder.glob("model-*.safetensors"))
    return hashlib.sha256("".join(map(sha256_of, shards)).encode()).hexdigest()


def _transformers() -> Any:
    return extra("transformers", "transformers", "teachers from Hugging Face need")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
