"""Masks of DICOM series in the forms that hospitals take, each written once, when all masks of its series are there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from labelmine.atomic import write_whole
from labelmine.data.items import Item
from labelmine.data.label_store import LabelStore
from labelmine.errors import DataError
from labelmine.exchange.dicom_stacks import Stack, dicom_series, stacks_of
from labelmine.exchange.series_forms import SeriesForm
from labelmine.progress import progress

logger = logging.getLogger(__name__)


class SeriesMasks:
    """Writes the masks of a label store in further forms.

    Args:
        store: The masks.
        forms: The forms.
        alone: Whether the store's own files of a mask are removed once all forms have it that can: at least the first.
    """

    def __init__(self, store: LabelStore, forms: Sequence[SeriesForm], alone: bool = False) -> None:
        """Keep them."""
        self.store = store
        self.forms = forms
        self.alone = alone

    def write(self, items: Iterable[Item]) -> dict[str, int]:
        """Write what is missing; a series that lacks a mask waits, and labels that were refused are left out.

        Args:
            items: All items of the run.

        Returns:
            How many files of each form there are.
        """
        series, counts = dicom_series(items), Counter[str]()
        accepted = {str(one["id"]): bool(one.get("accepted", True)) for one in self.store.records()}
        complete = [one for one in series.values() if all(item["id"] in accepted for item in one)]
        usable = [rest for one in complete if (rest := [item for item in one if accepted[item["id"]]])]
        if len(usable) < len(complete):
            logger.info("%d DICOM series have no label that was accepted", len(complete) - len(usable))
        reasons: dict[str, list[str]] = {}
        for one in progress(usable, "write masks of series", "file"):
            counts.update(self._write_series(one, reasons))
        for reason, labels in reasons.items():
            others = f" ({len(labels)} series or stacks, this is the first)" if len(labels) > 1 else ""
            logger.warning("%s: %s%s", labels[0], reason, others)
        return dict(counts)

    def _write_series(self, items: list[Item], reasons: dict[str, list[str]]) -> Iterable[str]:
        try:
            stacks = stacks_of(items)
        except DataError as error:
            reasons.setdefault(str(error), []).append(items[0]["id"])
            return
        for stack in stacks:
            for form in self.forms:
                if reason := self._write_stack(stack, form):
                    reasons.setdefault(reason, []).append(stack.label)
            if self.alone and self.forms[0].is_current(stack):
                for frame in stack.frames:
                    self.store.remove_files(frame.item)
            yield from (form.name for form in self.forms if form.path(stack).is_file())

    def _write_stack(self, stack: Stack, form: SeriesForm) -> str | None:
        if reason := form.refusal(stack):
            return reason
        if form.is_current(stack):
            return None
        read = self._probability if form.fractional else self._mask
        try:
            masks = np.stack([read(frame.item) for frame in stack.frames])
            content = form.build(stack, masks)
        except DataError as error:
            return str(error)
        except Exception as error:  # highdicom and pydicom raise whatever an odd header happens to trip
            logger.debug("%s", stack.label, exc_info=True)
            kind = type(error).__name__  # whose message may hold a value of the patient's
            return f"no {form.name}, as an attribute of the images stands against it ({kind}); their PNG masks stay"
        write_whole(form.path(stack), content)
        return None

    def _mask(self, item: Item) -> NDArray[np.bool_]:
        return np.moveaxis(self.store.read(item)[0] > 0, 0, -1)

    def _probability(self, item: Item) -> NDArray[np.float32]:
        return np.moveaxis(self.store.read_probability(item), 0, -1)
