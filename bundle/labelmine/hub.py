"""Models by the id that they have on the Hugging Face hub: found in its client's cache, else fetched once."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from labelmine.errors import WeightsError

logger = logging.getLogger(__name__)

#: Weights of a repository whose model is one file, as the hub's own libraries name it.
HUB_WEIGHTS = "model.safetensors"

_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_hub_id(name: str | Path) -> bool:
    """Whether a name is the id of a repository, ``owner/name``, and no path.

    Where the first part is a folder here, a mistyped path is the likelier reading: nobody outside is asked for it.

    Example:
        >>> is_hub_id("facebook/sam-vit-base"), is_hub_id("runs/2024/polyps"), is_hub_id("/runs/polyps")
        (True, False, False)
    """
    return _ID.fullmatch(str(name)) is not None and not Path(name).parent.exists()


def hub_folder(name: str, files: Sequence[str], remedy: str) -> Path:
    """Return where the hub's client keeps its copy of a repository, fetched once; the client's settings hold.

    Args:
        name: Id of the repository.
        files: Patterns of the files that are wanted.
        remedy: What the error advises.

    Raises:
        WeightsError: The hub has no such repository or cannot be reached, and none was fetched before.
    """
    import huggingface_hub  # here, as it takes a second

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(files)))
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(
            f"found no folder '{name}', nor can a model of that id be had ({reason}); {remedy}"
        ) from error
