"""Reading an image set as ``mine`` would, and remembering how far it came where it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from labelmine.data import (
    CheckedItems,
    ClassMap,
    ImageSet,
    Item,
    Pair,
    SetAside,
    near_duplicates,
    read_image,
    read_label,
    split_items,
)
from labelmine.data.account import account_lines
from labelmine.data.findings import Finding
from labelmine.data.folder_files import list_folder
from labelmine.data.found_set import FoundSet, find_set, set_name
from labelmine.data.image_set import mining_phantoms
from labelmine.data.integrity import write_quarantine
from labelmine.data.set_aside import reasons_of
from labelmine.errors import DataError, LabelmineError
from labelmine.evaluation import Case
from labelmine.evaluation.image_facts import ImageFacts, measure_images
from labelmine.evaluation.wording import count
from labelmine.report import class_keys, thumbnails
from labelmine.report.doctor import DoctorReport
from labelmine.run.files import PHANTOM_FOLDER, QUARANTINE_FILE
from labelmine.workflows.doctor.knobs import DoctorKnobs
from labelmine.workflows.doctor.odd_images import choose_odd

#: Phantoms of a run of ``mine`` without images.


class Examination:
    """What is known of an image set, as far as it could be read.

    Args:
        knobs: Of the workflow.
        folder: Where ``quarantine.csv`` goes.
    """

    def __init__(self, knobs: DoctorKnobs, folder: Path) -> None:
        """Nothing is read yet."""
        self.knobs, self.folder = knobs, folder
        self.source = folder / PHANTOM_FOLDER if knobs.dataset_dir is None else Path(knobs.dataset_dir).expanduser()
        self.found: FoundSet | None = None
        self.checked: CheckedItems | None = None
        self.pairs: list[Pair] | None = None
        self.images: ImageSet | None = None
        self.problem: LabelmineError | None = None
        self.facts: list[ImageFacts] = []

    def run(self) -> None:
        """Read the set as ``mine`` would; what would stop it becomes ``problem``."""
        try:
            self._read()
        except LabelmineError as error:
            self.problem = error
        knobs = self.knobs
        self.facts = measure_images(self.items, self.classes or ClassMap(), knobs.window, knobs.slice_axis, knobs.seed)

    @property
    def name(self) -> str:
        """Name of the set."""
        return set_name(self.source)

    @property
    def items(self) -> list[Item]:
        """Its images: those in use, where they were checked."""
        stage = self.checked or self.found
        return stage.items if stage else []

    @property
    def classes(self) -> ClassMap | None:
        """Its classes; None where they could not be told."""
        return self.checked.classes if self.checked else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was assumed."""
        stage = self.checked or self.found
        return stage.findings if stage else ()

    @property
    def set_aside(self) -> list[SetAside]:
        """What cannot be used, or is not."""
        stage = self.checked or self.found
        return stage.set_aside if stage else []

    @property
    def lines(self) -> list[str]:
        """The short text, findings left out, which are logged as they are found."""
        lines = account_lines(self.items, self.set_aside, self.classes) if self.items else []
        if self.pairs is not None:
            kept = f"{count(len(self.pairs), 'pair')}, kept together" if self.pairs else "none"
            lines.append(f"near-duplicates in different groups: {kept}")
        if self.images is not None:
            counts = [len(part) for part in (self.images.train, self.images.val, self.images.test)]
            told = "{} would train, {} validate, {} test".format(*counts)
            lines.append(f"{told}, {len(self.images.unlabeled)} without a mask would be mined")
            if not self.images.unlabeled:
                lines.append("all images have gold: --labeled_fraction 0.1 shows what a tenth of the masks is worth")
        return lines

    def report(self) -> DoctorReport:
        """Return what the page shows of it."""
        names = self.classes.names if self.classes else ()
        return DoctorReport(
            dataset=self.name,
            seed=self.knobs.seed,
            problem=self._problem(),
            lines=self.lines,
            n_images=len(self.items),
            facts=self.facts,
            files=list(self._files()) if not self.items else (),
            findings=self.findings,
            classes=names,
            pictures=thumbnails(self._cases(), names),
            keys=class_keys(names or ["any value above 0"]),
            pairs=self.pairs,
            reasons=reasons_of(self.set_aside),
            settings=self.knobs.settings,
        )

    def _read(self) -> None:
        knobs, quarantine = self.knobs, self.folder / QUARANTINE_FILE
        if knobs.dataset_dir is None:
            mining_phantoms(self.folder, knobs.seed)
            self.source = self.folder / PHANTOM_FOLDER / "dataset.csv"
        write_quarantine(quarantine, [])  # that of another set does not linger
        self.found = find_set(self.source, self.folder, knobs.classes, knobs.slice_axis, knobs.mask_pattern)
        write_quarantine(quarantine, self.found.set_aside)
        self.checked = self.found.check(quarantine, knobs.window)
        read = partial(read_image, window=knobs.window, slice_axis=knobs.slice_axis)
        self.pairs = near_duplicates(self.items, read)
        self.images = self._split(self.found.root, self.checked, self.pairs)

    def _split(self, root: Path, checked: CheckedItems, pairs: list[Pair]) -> ImageSet:
        knobs = self.knobs
        fractions: dict[str, Any] = knobs.of_mine("val_fraction", "test_fraction", "labeled_fraction")
        items = split_items(checked.items, knobs.seed, **fractions, duplicates=pairs)
        return ImageSet(self.name, root, items, checked.classes, knobs.window, knobs.slice_axis, {}, checked.findings)

    def _problem(self) -> str:
        """What would stop ``mine``, the folders of this run cut to their names: they may hold blanks."""
        text = str(self.problem or "")
        for place in (self.source.absolute(), self.source, self.folder.absolute(), self.folder):
            if len(place.parts) > 1:
                text = text.replace(str(place), place.name)
        return text

    def _cases(self) -> Iterator[Case]:
        knobs = self.knobs
        items = {item["id"]: item for item in self.items}
        for name, why in choose_odd(self.items, self.facts, self.findings, self.pairs or [], knobs.seed):
            item = items[name]
            try:
                image = read_image(item, knobs.window, knobs.slice_axis)
                gold = None
                if "label" in item:
                    gold = read_label(item, item["label"], self.classes or ClassMap(), knobs.slice_axis) > 0
                yield Case(id=name, image=image, gold=gold, caption=why)
            except DataError:  # of a set that was not checked, any file may be damaged
                continue

    def _files(self) -> Iterator[str]:
        """Place and format of each file of the folder."""
        if not self.source.is_dir():
            return
        for path in list_folder(self.source).files:
            yield str(PurePosixPath(*path.parts[:-1][:2]) / f"*{path.suffix}")
