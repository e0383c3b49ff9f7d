"""The split of a run: taken up from its folder, adopted from another run, or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from labelmine.data.corrections import Corrections, place_corrections
from labelmine.data.duplicates import Pair, Reader, near_duplicates
from labelmine.data.items import Item
from labelmine.data.split_file import SPLIT_FILE_NAME, adopt_split, load_split, save_split
from labelmine.data.splits import check_fractions, split_items
from labelmine.weights import sha256_of


@dataclass(frozen=True, kw_only=True)
class RunSplit:
    """How a run splits its images.

    Attributes:
        seed: Of the draw.
        labeled_fraction: Fraction of the training groups that keep their gold, in (0, 1].
        val_fraction: Fraction of the groups with gold that validate, in (0, 1).
        test_fraction: Fraction of the groups with gold that test, in (0, 1).
        split_file: ``split.json`` of another run: split as it did; seed and fractions then split nothing. None: draw.

    Raises:
        ConfigError: Fractions out of range.
    """

    seed: int
    labeled_fraction: float
    val_fraction: float
    test_fraction: float
    split_file: str | None

    def __post_init__(self) -> None:
        """Check the fractions."""
        check_fractions(self.val_fraction, self.test_fraction, self.labeled_fraction)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What ``split.json`` says of how it came about."""
        adopted = None if self.split_file is None else sha256_of(Path(self.split_file).expanduser())
        return {
            "seed": self.seed,
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
            "labeled_fraction": self.labeled_fraction,
            "split_file": adopted,
        }

    def apply(
        self,
        items: Sequence[Item],
        folder: Path,
        read: Reader,
        corrected: Corrections | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> tuple[list[Item], list[Pair]]:
        """Return the items with their splits, and near-duplicate pairs; write ``split.json`` where there is none.

        Args:
            items: Images of the set.
            folder: Folder of the run.
            read: Reads an image, for the search for near-duplicates.
            corrected: Masks that an expert corrected, which become training gold.
            further: Settings that ``split.json`` names besides.

        Raises:
            DataError: A split that leaks or has too little gold, or a folder that holds another run.
        """
        settings = {**self.settings, "corrections": corrected.digest if corrected else None, **(further or {})}
        adopted = None if self.split_file is None else adopt_split(self.split_file, items)
        own = folder / SPLIT_FILE_NAME
        loaded = load_split(own, items, settings)
        split, pairs = loaded or adopted or self._draw(items, read)
        placed = place_corrections(split, corrected) if corrected else split
        if loaded is None:
            save_split(own, items, placed, settings, pairs)
        return placed, pairs

    def _draw(self, items: Sequence[Item], read: Reader) -> tuple[list[Item], list[Pair]]:
        pairs = near_duplicates(items, read)
        fractions = (self.val_fraction, self.test_fraction, self.labeled_fraction)
        return split_items(items, self.seed, *fractions, pairs), pairs
