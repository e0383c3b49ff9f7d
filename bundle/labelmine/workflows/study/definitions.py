"""Finished cells stand for a method as long as the catalogue says of it what it said when they were run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from labelmine.errors import ConfigError
from labelmine.run.settings import changes
from labelmine.studies.grid import Cell
from labelmine.workflows.study.cell import CELL_FILE


def refuse_changed_methods(folder: Path, cells: Sequence[Cell]) -> None:
    """Stop a study that would show the results of one method under the name of another.

    Args:
        folder: The study's folder.
        cells: Its cells, finished or not.

    Raises:
        ConfigError: Methods that are, or build on, others than when their cells were run; with what has changed.
    """
    changed: dict[str, str] = {}
    for cell in cells:
        if difference := _difference(folder / cell.folder / CELL_FILE, cell):
            changed.setdefault(cell.method.key, f"method '{cell.method.key}' ({cell.name}: {difference})")
    if changed:
        raise ConfigError(
            f"{folder.name} holds finished cells of other definitions than the catalogue has now: "
            f"{'; '.join(changed.values())}. Give what is new a name of its own in the catalogue, put the old back, or "
            f"delete {', '.join(f'cells/{key}' for key in changed)} to run it anew"
        )


def _difference(path: Path, cell: Cell) -> str:
    """Return what has changed since a cell was run, in words; empty where nothing has, or it was not run."""
    if not path.is_file():
        return ""
    earlier = json.loads(path.read_text(encoding="utf-8")).get("definition", {})
    found = changes(earlier, cell.definition)
    return "; ".join(f"{name}: {before!r} then, {now!r} now" for name, before, now in found)
