"""What the cells of a study left behind, checked before anything is claimed about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from labelmine.errors import DataError
from labelmine.evaluation import Case

#: The study's own test set, among external ones.
TEST = "test"
#: What names one examination of one student.
CELL = ["method", "fraction", "seed", "test_set"]
CELL_COLUMNS = {*CELL, "title"}
IMAGE_COLUMNS = {*CELL, "id", "dice"}


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """Everything that the page of a study shows.

    Attributes:
        name: The image set.
        cells: One row per finished cell and test set: ``method`` (key), ``title`` (words), ``fraction`` (share of the
            gold that does not test, in (0, 1]), ``seed``, ``test_set`` (``test`` or an external set's name) and, where
            known, ``n_gold`` and ``n_gold_val`` (both within the label budget), ``n_unlabeled``, ``steps`` (of the
            optimizer, for the examined student), ``seconds``, ``peak_memory_mb``, ``teacher_calls`` (NaN: no teacher),
            ``kept`` and ``folder`` (relative).
        images: One row per cell, test set and image: ``method``, ``fraction``, ``seed``, ``test_set`` and the columns
            of `labelmine.evaluation.evaluate_masks`.
        failures: Cells that failed, with a one-line reason.
        missing: Cells that were not run yet.
        cases: Images with the outlines of several methods.
        commands: How to run it again.
        environment: Versions, device and git revision, by name.
        notes: Sentences that a reader must see before trusting a figure.
        baseline: The method that the others are compared with.

    Raises:
        DataError: No finished cell, a column that is absent, an image that came twice or under a cell that is not
            listed, or cells that were examined on different images of one test set.
    """

    name: str
    cells: pd.DataFrame
    images: pd.DataFrame
    failures: Sequence[tuple[str, str]] = ()
    missing: Sequence[str] = ()
    cases: Sequence[Case] = ()
    commands: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    baseline: str = "supervised"

    def __post_init__(self) -> None:
        """Refuse what would make a comparison unfair or empty."""
        if self.cells.empty or self.images.empty:
            raise DataError(self._nothing())
        for table, name, expected in ((self.cells, "cells", CELL_COLUMNS), (self.images, "images", IMAGE_COLUMNS)):
            if absent := sorted(expected - set(table.columns)):
                raise DataError(
                    f"study '{self.name}', {name}: expected the columns {sorted(expected)}, got no {absent}"
                )
        for table, what, key in ((self.cells, "cell", CELL), (self.images, "image", [*CELL, "id"])):
            if (doubled := table.duplicated(key)).any():
                raise DataError(
                    f"study '{self.name}': {what} {_place(table[doubled], key)} came twice; keep one of them"
                )
        known = pd.MultiIndex.from_frame(self.cells[CELL])
        if (odd := ~pd.MultiIndex.from_frame(self.images[CELL]).isin(known)).any():
            raise DataError(
                f"study '{self.name}': images of cell {_place(self.images[odd], CELL)}, which is not listed"
            )
        self._check_test_sets()

    @property
    def has_baseline(self) -> bool:
        """Whether any cell of the baseline has been examined."""
        return bool((self.images["method"] == self.baseline).any())

    @property
    def titles(self) -> dict[str, str]:
        """Words for each method that has figures; the baseline first, others as listed."""
        shown = set(self.images["method"])
        titles = {
            key: title for key, title in zip(self.cells["method"], self.cells["title"], strict=True) if key in shown
        }
        return dict(sorted(titles.items(), key=lambda entry: entry[0] != self.baseline))

    @property
    def fractions(self) -> list[float]:
        """Label fractions with figures, smallest first."""
        return sorted(float(value) for value in self.images["fraction"].unique())

    @property
    def test_sets(self) -> list[str]:
        """Test sets with figures; the study's own first, others as listed."""
        names = [str(name) for name in self.images["test_set"].unique()]
        return sorted(names, key=lambda name: name != TEST)

    def _nothing(self) -> str:
        remedy = "run configs/study.yaml first; finished cells are kept and never run again"
        if self.failures:
            cell, reason = self.failures[0]
            remedy = (
                f"{len(self.failures)} failed, the first ({cell}) with: {reason}. Mend that and run the study again"
            )
        return f"study '{self.name}': no cell has finished, so there is nothing to show; {remedy}"

    def _check_test_sets(self) -> None:
        """Means of different images must not be compared."""
        for name, rows in self.images.groupby("test_set"):
            examined = {cell: frozenset(part["id"]) for cell, part in rows.groupby(CELL)}
            first, expected = next(iter(examined.items()))
            for cell, ids in examined.items():
                if odd := sorted(ids ^ expected):
                    one, other = (", ".join(map(str, key[:3])) for key in (first, cell))
                    raise DataError(
                        f"study '{self.name}', test set '{name}': cells ({one}) and ({other}) were examined on "
                        f"different images, {len(odd)} in one only, as '{odd[0]}'. Remove the folder of the cell that "
                        "is out of date and run the study again"
                    )


def _place(rows: pd.DataFrame, key: Sequence[str]) -> str:
    """Name the first row."""
    return f"({', '.join(str(rows.iloc[0][column]) for column in key)})"
