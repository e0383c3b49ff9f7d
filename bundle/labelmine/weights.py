"""Known weights by name: where they come from, how they are checked, and how they are loaded without running code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from labelmine.atomic import write_whole
from labelmine.bundle import bundle_root
from labelmine.checksums import require_sound
from labelmine.download import download
from labelmine.errors import WeightsError
from labelmine.hub import HUB_WEIGHTS, hub_folder, is_hub_id

_SAM = "https://dl.fbaipublicfiles.com/segment_anything/"
# Where checkpoints of training programs keep their weights.
_WEIGHT_KEYS = ("state_dict", "model_state_dict", "model", "network")


@dataclass(frozen=True)
class KnownWeights:
    """A weights file that has a name.

    Attributes:
        file: File name in the bundle's ``models/`` or in the download folder.
        url: Where to fetch it; None for files that ship in ``models/``.
        digest: ``sha256:<hex>`` or ``md5:<hex>`` of the file; None for shipped files (``models/README.md`` has them).
        licence: Licence of the weights.
    """

    file: str
    url: str | None = None
    digest: str | None = None
    licence: str = "research use only"


# SAM: sha256 as recorded by micro-sam's model registry and by Git LFS pointers of public mirrors, which agree; the
# digits in the official names are the first of the files' md5, not of their sha256.
# MedSAM: the md5 that public repositories give for its Zenodo record (not seen there ourselves); no sha256 is known.
KNOWN_WEIGHTS: Mapping[str, KnownWeights] = MappingProxyType(
    {
        "compact": KnownWeights("compact.safetensors"),
        "compact_no_busi": KnownWeights("compact_no_busi.safetensors"),
        "general": KnownWeights("general.safetensors"),
        "general_no_busi": KnownWeights("general_no_busi.safetensors"),
        "sam_vit_b": KnownWeights(
            "sam_vit_b_01ec64.pth",
            _SAM + "sam_vit_b_01ec64.pth",
            "sha256:ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            "Apache-2.0",
        ),
        "sam_vit_l": KnownWeights(
            "sam_vit_l_0b3195.pth",
            _SAM + "sam_vit_l_0b3195.pth",
            "sha256:3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            "Apache-2.0",
        ),
        "sam_vit_h": KnownWeights(
            "sam_vit_h_4b8939.pth",
            _SAM + "sam_vit_h_4b8939.pth",
            "sha256:a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            "Apache-2.0",
        ),
        "medsam_vit_b": KnownWeights(
            "medsam_vit_b.pth",
            "https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
            "md5:3bb6db55bd0c9ca30b61248bca72f8d6",
            "CC-BY-4.0",
        ),
    }
)


def download_folder() -> Path:
    """Where named weights are kept: ``$LABELMINE_WEIGHTS_DIR``, else ``labelmine`` in torch's hub folder."""
    override = os.environ.get("LABELMINE_WEIGHTS_DIR")
    return Path(override).expanduser() if override else Path(torch.hub.get_dir()) / "labelmine"


def weights_path(name_or_path: str | Path, folder: str | Path | None = None) -> Path:
    """Find a weights file, downloading a known one that is not there yet.

    Args:
        name_or_path: A name in `KNOWN_WEIGHTS`, the path of a file or of a folder with ``model.safetensors``, or the id
            of such a folder on the Hugging Face hub.
        folder: Where downloads are kept; defaults to `download_folder`.

    Returns:
        Path of an existing file.

    Raises:
        WeightsError: No such file or name; the message lists the names. Or the download failed.
    """
    path = Path(name_or_path).expanduser()
    if is_hub_id(name_or_path):
        path = hub_folder(str(name_or_path), [HUB_WEIGHTS], "check the id, or give the path of a weights file")
    for file in (path, path / HUB_WEIGHTS):
        if file.is_file():
            return file
    known = KNOWN_WEIGHTS.get(str(name_or_path))
    if known is None:
        raise WeightsError(
            f"expected a weights file or one of the names {', '.join(KNOWN_WEIGHTS)}, got '{name_or_path}', which is "
            "neither; check the path"
        )
    if known.url is None:
        path = bundle_root() / "models" / known.file
        if not path.is_file():
            raise WeightsError(f"expected the shipped weights '{name_or_path}' at {path}, found no file; reinstall")
        return path
    path = (Path(folder).expanduser() if folder else download_folder()) / known.file
    return path if path.is_file() else download(known.url, path, known.digest)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_weights(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors and metadata as safetensors, whole or not at all; equal ones give equal bytes, in any process.

    safetensors itself writes metadata in an order that is drawn anew for each file.
    """
    content = save(dict(tensors), dict(about))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(about.items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of 8 bytes
    write_whole(Path(path), b"".join([len(text).to_bytes(8, "little"), text, memoryview(content)[start:]]))


def load_state_dict_safely(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Load weights from a file that may come from anywhere: nothing in it is executed.

    Args:
        path: A ``.safetensors`` file, or what ``torch.save`` made of a state dict, bare or under ``state_dict``,
            ``model_state_dict``, ``model`` or ``network``.

    Returns:
        Tensors by name, on the CPU; and the file's metadata (empty for ``torch.save`` files).

    Raises:
        WeightsError: The file is missing, damaged, holds something else than weights, or holds code (refused).
        DataError: It is not as the run wrote it whose folder it lies in.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"expected a weights file at {path}, found none; known names: {', '.join(KNOWN_WEIGHTS)} (see weights_path)"
        )
    require_sound(path)
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    return _tensors_of(load_checkpoint(path), path), {}


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise _damaged(path, error) from error


def load_checkpoint(path: str | Path) -> Any:
    """Load what ``torch.save`` wrote, tensors and plain Python values, on the CPU; nothing in it is executed.

    Raises:
        WeightsError: The file is missing, damaged, or holds code (refused).
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"expected a checkpoint at {path}, found none; check the path")
    try:
        with warnings.catch_warnings():
            # Of a foreign pickle's protocol torch warns before it refuses the file; the refusal says enough.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _is_pickle(path):
            raise WeightsError(
                f"refused {path}: the checkpoint holds Python objects beside tensors, and loading them could run any "
                "code. If you trust its origin, load it there and save model.state_dict() as .safetensors"
            ) from error
        raise _damaged(path, error) from error
    # All of these are ways in which torch meets a damaged file, OSError for a zip that lacks its last bytes.
    except (RuntimeError, OSError, EOFError, LookupError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error


def _is_pickle(path: Path) -> bool:
    """Whether the file is whole in torch's format, or a bare pickle: then it is what it holds that was refused."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(path) or file.read(1) == pickle.PROTO


def _damaged(path: Path, error: Exception) -> WeightsError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return WeightsError(
        f"expected weights in {path} ({path.stat().st_size} bytes), but the file is truncated or no weights file "
        f"({reason}); fetch it again"
    )


def _tensors_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in a checkpoint's content."""
    for key in _WEIGHT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"expected tensors by name in {path}, got {type(content).__name__}; save model.state_dict()")
    wrong = next((key for key, value in content.items() if not isinstance(value, Tensor)), None)
    if wrong is not None:
        raise WeightsError(
            f"expected only tensors in {path}, got {type(content[wrong]).__name__} under '{wrong}'; "
            "save model.state_dict() alone"
        )
    return dict(content)
