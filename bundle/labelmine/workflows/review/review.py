"""Rank the pseudo labels of a finished run, and open the page to review them on, or hand the first ones out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pandas as pd
from annotated_types import Interval

from labelmine.data import ImageSet, Item, LabelStore, find_images
from labelmine.errors import DataError
from labelmine.exchange.decisions import DecisionLog
from labelmine.prediction import Predictor, student_folder
from labelmine.review import REVIEW_FOLDER, Cases, Corrector, ReviewSession, require_server, serve, write_review
from labelmine.review.ranking import REVIEW_FILE
from labelmine.run.files import CONFIG_FILE, LABELS_FOLDER, MODEL_FILE, PHANTOM_FOLDER, SPLIT_FILE
from labelmine.run.folder import RunFolder, read_settings
from labelmine.run.knobs import ImageKnobs, NotNegative, Positive, RunKnobs, Share
from labelmine.run.lock import lock_folder
from labelmine.workflows.review.run_teacher import run_teacher

#: Images that ``labels/review.csv`` marks where nobody says how many, as many as after ``mine.yaml``.
MARKED = 20


class ReviewKnobs(RunKnobs, ImageKnobs):
    """The knobs of ``configs/review.yaml``."""

    workflow: ClassVar[str] = "review"

    model_dir: str | None
    labels_dir: str | None
    output_dir: str | None  # type: ignore[assignment]  # None: a folder of the labelled run
    budget: NotNegative | None
    diversity: Share
    host: str
    port: Annotated[int, Interval(ge=0, le=65535)]
    browser: bool
    embedding_cache: str | None
    cache_gb: Positive


class Review:
    """Opens the page of the labelled run; or writes ``labels/review.csv`` and the folders of annotation tools.

    Args:
        knobs: Of the workflow.

    Raises:
        WeightsError: No student.
        DataError: The folder holds no labels.
        ConfigError: What the page needs is not installed.
    """

    def __init__(self, knobs: ReviewKnobs) -> None:
        """Look for the labels."""
        self.knobs = knobs
        self.model = student_folder(knobs.model_dir)
        self.labelled = self.model if knobs.labels_dir is None else Path(knobs.labels_dir).expanduser()
        # Both are only opened, so that what is missing is said before anything is written.
        self.predictor = Predictor.load(self.model / MODEL_FILE, knobs.device)
        if not (self.labelled / LABELS_FOLDER).is_dir():
            raise DataError(
                f"{self.labelled.name}: has no {LABELS_FOLDER}/; give --labels_dir the output folder of a mine.yaml or "
                "label.yaml run"
            )
        known = (self.labelled / CONFIG_FILE).is_file()
        self.settings: dict[str, Any] = read_settings(self.labelled) if known else {}
        self.axis = int(self.settings.get("slice_axis", knobs.slice_axis))
        self.classes = LabelStore.existing(self.labelled / LABELS_FOLDER, self.axis).classes
        own = self.labelled / (REVIEW_FOLDER if knobs.budget is None else f"{LABELS_FOLDER}/{REVIEW_FOLDER}")
        self.path = own if knobs.output_dir is None else Path(knobs.output_dir).expanduser()
        if knobs.budget is None:
            require_server()
        else:
            self.folder = RunFolder(self.path, knobs.settings, knobs.workflow)

    def start(self) -> None:
        """Open the page, or with a budget write the folders."""
        if self.knobs.budget is None:
            self.serve()
        else:
            self.write()

    def write(self) -> None:
        """Rank and write.

        Raises:
            DataError: None of the images was labelled.
        """
        self.folder.stage("write", lambda: self._rank(self.knobs.budget or 0, folders=True))

    def serve(self) -> None:
        """Serve the page until it is stopped; one page at a time has a review folder.

        Raises:
            DataError: None of the images was labelled.
            ConfigError: Another page has the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(self.path)
        try:
            serve(self.session, self.knobs.host, self.knobs.port, self.knobs.browser)
        finally:
            lock.release()

    @cached_property
    def session(self) -> ReviewSession:
        """What the page shows and does."""
        known = self.labelled / LABELS_FOLDER / REVIEW_FILE
        table = pd.read_csv(known, keep_default_na=False, dtype={"id": str}) if known.is_file() else None
        labelled = {record["id"] for record in self.store.records()} & {item["id"] for item in self.images.items}
        if table is None or not labelled <= set(table["id"]):
            table = self._rank(MARKED, folders=False)
        knobs = self.knobs
        teacher = run_teacher(self.settings, self.model, knobs.device, knobs.embedding_cache, knobs.cache_gb)
        return ReviewSession(
            Cases(self.images, self.store, table, self.predictor),
            DecisionLog(self.path, self.classes),
            None if teacher is None else Corrector(teacher, self.images, knobs.device),
        )

    @cached_property
    def images(self) -> ImageSet:
        """The images that the run labelled, read as it read them."""
        images = find_images(
            self.knobs.dataset_dir or self._source(),
            str(self.path),
            self.classes,
            window=self.settings.get("window", self.knobs.window),
            slice_axis=self.axis,
            mask_pattern=self.knobs.mask_pattern or self.settings.get("mask_pattern"),
        )
        images.items[:] = _as_in_run(images.items, self.labelled / SPLIT_FILE)
        return images

    @cached_property
    def store(self) -> LabelStore:
        """The labels of the run."""
        return LabelStore(self.labelled / LABELS_FOLDER, self.images.classes, self.images.root, self.axis)

    def _rank(self, budget: int, folders: bool) -> pd.DataFrame:
        diversity = self.knobs.diversity
        table = write_review(
            self.labelled, self.images, self.store, self.predictor, budget, diversity, folders, self.path
        )
        if table.empty:
            raise DataError(
                f"{self.images.name}: no image of it has a pseudo label in {self.labelled.name}; was it labelled?"
            )
        return table

    def _source(self) -> str:
        """Return the images of the run: the phantoms that it wrote, or those that its settings name."""
        path = self.labelled / PHANTOM_FOLDER / "dataset.csv"
        if path.is_file():
            return str(path)
        named = self.settings.get("dataset_dir")
        if named is None or not Path(named).expanduser().exists():
            raise DataError(
                f"{self.labelled.name}: was no run on phantoms, and the images that it names are not there; give "
                "--dataset_dir the images that it labelled"
            )
        return str(named)


def _as_in_run(items: Sequence[Item], split_file: Path) -> list[Item]:
    """Give items the split of the run, where it made one: gold that it hid is not gold to it."""
    if not split_file.is_file():
        return [_without_split(item) for item in items]
    mined = set(json.loads(split_file.read_text(encoding="utf-8"))["unlabeled"])
    kept = [item.copy() for item in items if item["id"] in mined]
    for item in kept:
        item["split"] = "unlabeled"
    return kept


def _without_split(item: Item) -> Item:
    copy = item.copy()
    copy.pop("split", None)
    return copy
