"""labelmine mines segmentation labels from large models: a MONAI bundle.

The import stays light: torch and MONAI are imported by the rooms that need them.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version

from labelmine.bundle import bundle_root

__all__ = ["__version__", "bundle_root"]


def _find_version() -> str:
    """The installed version, or, run from an unpacked zip, the one that the bundle's metadata states."""
    try:
        return version("labelmine")
    except PackageNotFoundError:
        metadata = json.loads((bundle_root() / "configs" / "metadata.json").read_text(encoding="utf-8"))
        return str(metadata["version"])


__version__ = _find_version()
