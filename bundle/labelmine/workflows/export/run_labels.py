"""Gather the labels of a finished run: its images, its split, gold, corrections and accepted pseudo labels."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from labelmine.data import ImageSet, Item, LabelStore, Pair, find_images
from labelmine.data.image_set import CORRECTIONS_FOLDER
from labelmine.data.label_store import CLASSES_NAME
from labelmine.data.split_file import adopt_split
from labelmine.errors import ConfigError, DataError
from labelmine.exchange.label_set import SPLITS, LabelledImage, LabelSet
from labelmine.labelers import Reason
from labelmine.run.files import LABELS_FOLDER, PHANTOM_FOLDER, SPLIT_FILE
from labelmine.run.folder import read_settings
from labelmine.workflows.export.reviewed import Reviewed, drawn_by

logger = logging.getLogger(__name__)


def gather_labels(
    run: Path, dataset_dir: str | None, scratch: Path, review_dir: str | None = None, reviewer_names: bool = False
) -> LabelSet:
    """Read what a ``mine.yaml``, ``label.yaml`` or ``train.yaml`` run left behind.

    What was decided in a review counts: corrected masks stand in for pseudo labels, accepted ones go out whatever the
    run thought of them, rejected ones stay behind. Gold that the run hid (``labeled_fraction``) stays hidden: its
    images go out with their pseudo labels.

    Args:
        run: Output folder of the run; its ``config.yaml`` says how images were read.
        dataset_dir: Its images, where they lie elsewhere by now; None: where the run found them.
        scratch: Folder for what the search for images writes.
        review_dir: Folder of a review; None: that of the run, if it has one.
        reviewer_names: Whether reviewers are named; else it is only said that someone reviewed a label.

    Raises:
        ConfigError: No run, or its images are not where they were.
        DataError: A run without labels, or other images than those it labelled.
    """
    settings = read_settings(run)
    axis = int(settings.get("slice_axis", -1))
    has_labels = (run / LABELS_FOLDER / CLASSES_NAME).is_file()
    if not has_labels and not (run / SPLIT_FILE).is_file():
        raise DataError(
            f"{run.name}: a {settings['workflow']}.yaml run without labels and without a split; give --model_dir the "
            "output folder of a mine.yaml, label.yaml or train.yaml run"
        )
    store = LabelStore.existing(run / LABELS_FOLDER, axis) if has_labels else None
    images = find_images(
        str(_source(run, settings, dataset_dir)),
        str(scratch),
        store.classes if store else settings.get("classes"),
        window=settings.get("window"),
        slice_axis=axis,
        mask_pattern=settings.get("mask_pattern"),
    )
    return _labels_of(run, images, store, Reviewed.of_run(run, review_dir, reviewer_names))


def _source(run: Path, settings: dict[str, Any], dataset_dir: str | None) -> Path:
    told = dataset_dir if dataset_dir is not None else settings.get("dataset_dir")
    source = run / PHANTOM_FOLDER / "dataset.csv" if told is None else Path(told).expanduser()
    if not source.exists():
        raise ConfigError(
            f"dataset_dir: the images of {run.name} are not where the run found them. Give --dataset_dir the folder or "
            "file that they are in now"
        )
    return source


def _labels_of(run: Path, images: ImageSet, store: LabelStore | None, reviewed: Reviewed) -> LabelSet:
    items: list[Item] = images.items
    pairs: list[Pair] = []
    if (run / SPLIT_FILE).is_file():
        items, pairs = adopt_split(run / SPLIT_FILE, images.items)
    left_out = Counter({"set aside, see quarantine.csv of the run": images.summary["n_quarantined"]})
    left_out["without gold, of a validation or test group"] = len(images.items) - len(items)
    records = {record["id"]: record for record in store.records()} if store else {}
    found: list[LabelledImage] = []
    for item in items:
        gold = _gold(item, run / CORRECTIONS_FOLDER)
        record = records.get(item["id"])
        if gold is not None:
            found.append(gold)
        elif reviewed.rejects(item["id"]):
            left_out["label rejected by a reviewer"] += 1
        elif (decided := reviewed.label(item, record)) is not None:
            found.append(decided)
        elif record is None:
            left_out["without any label"] += 1
        elif not record["accepted"]:
            left_out[f"label rejected: {Reason.of(str(record['reason'])).sentence}"] += 1
        else:
            found.append(LabelledImage(item, "train", "pseudo", drawn_by(record), float(record["score"])))
    if not found:
        raise DataError(f"{run.name}: no image of {images.name} has gold or an accepted label; nothing to export")
    told = {reason: count for reason, count in left_out.items() if count}
    logger.info("left out: %s", json.dumps(told) if told else "nothing")
    return LabelSet(images.name, images.classes, found, told, store, pairs, images.window, images.slice_axis)


def _gold(item: Item, corrections: Path) -> LabelledImage | None:
    """The image with its correction or its gold, if it has any that the run knew."""
    split = next((split for split in SPLITS if split == item.get("split")), None)
    corrected = corrections / f"{item['id']}.png"
    if split == "train" and corrected.is_file():
        return LabelledImage(Item({**item, "label": str(corrected)}), "train", "corrected")
    if "label" in item and item.get("split") != "unlabeled":
        return LabelledImage(item, split or "train", "gold")
    return None
