"""A raw data set of nnU-Net v2: gold and pseudo labels to train on, test gold apart, folds in which no group straddles.

Pictures (and DICOM, which goes out as labelmine sees it: by its window, frame by frame) are PNG files for
``NaturalImage2DIO``; where all images are slices of NIfTI files, volumes go out, with values and geometry as they are.
Pixels that abstain, and slices without a label, bear nnU-Net's ``ignore`` label.

Source: https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md, ignore_label.md, manual_data_splits.md.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelmine.atomic import write_whole
from labelmine.data.folds import gold_folds
from labelmine.data.items import Item
from labelmine.data.nnunet import DATASET_JSON, IGNORE
from labelmine.data.splits import clusters_of
from labelmine.errors import DataError
from labelmine.exchange.case_files import NIFTI, Case, cases_of, is_nifti, write_image, write_label, write_weight
from labelmine.exchange.facts import write_facts
from labelmine.exchange.label_set import LabelSet
from labelmine.progress import progress

logger = logging.getLogger(__name__)

SPLITS_NAME = "splits_final.json"
#: nnU-Net trains five folds unless told otherwise, and draws those that are missing at random.
N_FOLDS = 5
#: Whose labels may validate: a student's own mask that someone accepted favours students like it.
REAL = ("gold", "corrected")
Fold = dict[str, list[str]]


def write_nnunet(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write the data set.

    Args:
        labels: What goes out.
        folder: The data set's own, ``DatasetNNN_Name`` of nnU-Net's raw folder.

    Returns:
        Figures for ``export.json``.

    Raises:
        DataError: A class with a name that nnU-Net has taken.
    """
    taken = {"background", IGNORE} & {name.lower() for name in labels.classes.names}
    if taken:
        raise DataError(f"nnU-Net has a meaning of its own for {min(taken)!r}; name the class otherwise in --classes")
    cases = cases_of(labels, volumes=all(map(is_nifti, labels.images)))
    volumes = cases[0].suffix == NIFTI
    colour = not volumes and any(labels.read_pixels(image).ndim == 3 for image in labels.images)
    ignore = len(labels.classes) + 1
    abstaining = overlapping = 0
    for case in progress(cases, "export"):
        part = "Ts" if case.split == "test" else "Tr"
        write_image(case, labels, folder / f"images{part}" / f"{case.name}_0000", colour)
        written = write_label(case, labels, folder / f"labels{part}" / case.name, ignore)
        write_weight(case, labels, folder / f"weights{part}" / case.name)
        abstaining += written.abstaining
        overlapping += written.overlapping
    training = [case for case in cases if case.split != "test"]
    _write_json(folder / DATASET_JSON, _dataset_json(labels, len(training), volumes, colour, abstaining > 0))
    folds = folds_of(training, labels)
    if folds:
        _write_json(folder / SPLITS_NAME, folds)
    if len(folds) < N_FOLDS:
        logger.warning("nnunet: groups suffice for %d of %d folds; nnU-Net would draw the others at random, without "
                       "regard to groups: do not train them", len(folds), N_FOLDS)  # fmt: skip
    write_facts(cases, labels, folder)
    if overlapping:
        logger.warning("nnunet: %d pixels are of several classes; the last one was written", overlapping)
    return labels.figures | {"pixels": {"ignored": abstaining, "of_several_classes": overlapping}, "folds": len(folds)}


def folds_of(cases: Sequence[Case], labels: LabelSet) -> list[Fold]:
    """Return folds for ``splits_final.json``.

    The first validates on the run's own validation gold, which the student that made the pseudo labels never saw. The
    others split the training gold. Pseudo labels only train, and never beside a validation image of their group, or of
    a near-duplicate's. Without any gold, the folds validate on pseudo labels.

    Args:
        cases: All but test cases.
        labels: Their set.
    """
    items = {case.name: _fold_item(case, labels) for case in cases}
    gold = [case for case in cases if all(image.source in REAL for image in case.images)] or cases
    own = [case.name for case in gold if case.split == "val"]
    rest = [items[case.name] for case in gold if case.split == "train"]
    case_of = {image.id: case.name for case in cases for image in case.images}
    pairs = [(case_of[a], case_of[b], n) for a, b, n in labels.near_duplicates if a in case_of and b in case_of]
    drawn = gold_folds(rest, N_FOLDS - bool(own), labels.seed, pairs)
    held_out = [own, *([item["id"] for item in fold.held_out] for fold in drawn)]
    clusters = clusters_of(list(items.values()), [(a, b) for a, b, _ in pairs]).values()
    cluster_of = {item["id"]: number for number, members in enumerate(clusters) for item in members}
    return [_fold(names, cluster_of) for names in held_out if names]


def _fold(validation: Sequence[str], cluster_of: dict[str, int]) -> Fold:
    examined = {cluster_of[name] for name in validation}
    train = sorted(name for name, cluster in cluster_of.items() if cluster not in examined)
    return {"train": train, "val": sorted(validation)}


def _fold_item(case: Case, labels: LabelSet) -> Item:
    return Item(id=case.name, image=case.images[0].item["image"], group=labels.groups[case.images[0].id])


def _dataset_json(labels: LabelSet, n_training: int, volumes: bool, colour: bool, ignores: bool) -> dict[str, Any]:
    values = {"background": 0, **{name: number for number, name in enumerate(labels.classes.names, start=1)}}
    if ignores:
        values[IGNORE] = len(labels.classes) + 1
    content = {
        "channel_names": dict(enumerate("RGB")) if colour else {0: "image" if volumes else "grey"},
        "labels": values,
        "numTraining": n_training,
        "file_ending": NIFTI if volumes else ".png",
        "name": labels.name,
        "converted_by": "labelmine",
    }
    return content if volumes else {**content, "overwrite_image_reader_writer": "NaturalImage2DIO"}


def _write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode())
