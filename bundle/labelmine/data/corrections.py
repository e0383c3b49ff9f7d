"""Corrected masks as training gold: how they are placed into a split. ``labelmine.exchange`` reads them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from labelmine.data.integrity import CheckedItems
from labelmine.data.intensities import Window
from labelmine.data.items import Item
from labelmine.data.set_aside import SetAside

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corrections:
    """Corrected masks of an image set.

    Attributes:
        masks: File of the mask by image id, as PNG like any other mask of the set.
        set_aside: Corrections that cannot be used.
        rejected: Images whose label an expert rejected without drawing another: they are not mined again.
        digest: Fingerprint of ids and masks.
    """

    masks: dict[str, Path]
    set_aside: list[SetAside] = field(default_factory=list)
    rejected: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """Fingerprint of ids and masks: other corrections make another run."""
        rows = sorted(f"{name}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in self.masks.items())
        rows += sorted(f"{name}:rejected" for name in self.rejected)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


class ReadCorrections(Protocol):
    """Reads the corrections of an image set; ``labelmine.exchange.corrections_reader`` makes one."""

    def __call__(self, checked: CheckedItems, into: Path, window: Window | None, slice_axis: int) -> Corrections:
        """Return the corrections of the checked images, their masks copied to ``into``."""


def place_corrections(items: Iterable[Item], corrections: Corrections) -> list[Item]:
    """Make corrected images training gold; those that choose or examine the student keep their gold.

    Images whose label was rejected are left out of those to mine: what was wrong once would be made again.

    Args:
        items: Split items; images without gold of a validation or test group are not among them.
        corrections: Their corrections.

    Returns:
        New items, in the order given, without the rejected ones.
    """
    rest = dict(corrections.masks)
    placed = []
    for item in items:
        if item["id"] in corrections.rejected and item.get("split") == "unlabeled":
            continue
        if item["id"] in rest and item.get("split") in ("train", "unlabeled"):
            item = item.copy()
            item.pop("dropped_label", None)
            item["label"], item["split"] = str(rest.pop(item["id"])), "train"
        placed.append(item)
    splits = {item["id"]: item.get("split") for item in placed}
    for name in sorted(rest):
        place = f"is in {splits[name]}" if name in splits else "shares a group with validation or test gold"
        logger.warning("corrections: %s %s, which must not change: its correction is not used", name, place)
    return placed
