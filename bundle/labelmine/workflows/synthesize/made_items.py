"""Made images as items: candidates, and those that were admitted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from labelmine.data import Item

CANDIDATES, TABLE, DATASET = "candidates", "candidates.csv", "dataset.csv"


def admitted_items(folder: str | Path) -> list[Item]:
    """Return what a run admitted, as items that train, or as unlabelled ones where there are no masks."""
    root = Path(folder).expanduser()
    table = pd.read_csv(root / TABLE, dtype={"id": str})
    return made_items(root, table.loc[table["accepted"] == 1, "id"], masks="agreement" in table)


def made_items(folder: Path, names: Iterable[str], masks: bool) -> list[Item]:
    """Return made images of a folder, each a group of its own."""
    items = []
    for name in names:
        item = Item(id=name, image=str(folder / "images" / f"{name}.png"), group=name, split="unlabeled", made=True)
        if masks:
            item |= {"label": str(folder / "masks" / f"{name}.png"), "split": "train"}
        items.append(item)
    return items
