"""Running configs in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelmine.cli.messages import silence_libraries


def run_configs(files: Sequence[Path], overrides: Mapping[str, Any]) -> None:
    """Run config files as ``python -m monai.bundle run --config_file [...]`` does.

    Args:
        files: A workflow's config and its overlays.
        overrides: Keys, ``::`` between levels, and their values. They go by MONAI's ``args_file``, as it drops
            keyword arguments that are None, and ``--split_file null`` with them.
    """
    import monai.bundle  # here, as it takes seconds

    silence_libraries()
    monai.bundle.run(config_file=[str(file) for file in files], logging_file=False, args_file=dict(overrides))
