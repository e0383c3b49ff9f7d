"""Labelled images as files in folders and a list of them: a CSV table, or a MONAI datalist.

``images/``, ``labels/`` (0 for background, 1..K) and ``weights/`` (0..255 for 0..1, only of labels of which not every
pixel counts fully) hold PNG files, and one NIfTI volume for all slices of a NIfTI file.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from labelmine.atomic import write_whole
from labelmine.exchange.case_files import Case, cases_of, write_image, write_label, write_weight
from labelmine.exchange.label_set import LabelSet
from labelmine.progress import progress

TABLE_NAME, DATALIST_NAME = "dataset.csv", "datalist.json"
COLUMNS = ("id", "image", "label", "group", "split", "weight", "source", "drawn_by", "score", "reviewed_by")
#: Sections of a MONAI datalist, in whose order they are written.
SECTIONS = {"train": "training", "val": "validation", "test": "test"}


def write_table(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write ``dataset.csv``, whose first five columns labelmine reads.

    Returns:
        Figures for ``export.json``.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_entries(labels, folder))
    write_whole(folder / TABLE_NAME, text.getvalue().encode())
    return labels.figures


def write_datalist(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write ``datalist.json`` with the sections of MONAI's ``load_decathlon_datalist``.

    Returns:
        Figures for ``export.json``.
    """
    content: dict[str, Any] = {"name": labels.name, "labels": {"0": "background"}}
    content["labels"] |= {str(number): name for number, name in enumerate(labels.classes.names, start=1)}
    content |= {section: [] for section in SECTIONS.values()}
    for entry in _entries(labels, folder):
        content[SECTIONS[entry["split"]]].append(entry)
    write_whole(folder / DATALIST_NAME, json.dumps(content, indent=1, ensure_ascii=False).encode())
    return labels.figures


def _entries(labels: LabelSet, folder: Path) -> list[dict[str, Any]]:
    """Write the files of all cases and return what lists say of each."""
    return [_entry(case, labels, folder) for case in progress(cases_of(labels, volumes=True), "export")]


def _entry(case: Case, labels: LabelSet, folder: Path) -> dict[str, Any]:
    files = {
        "image": write_image(case, labels, folder / "images" / case.name),
        "label": write_label(case, labels, folder / "labels" / case.name).path,
        "weight": write_weight(case, labels, folder / "weights" / case.name),
    }
    named = {key: path.relative_to(folder).as_posix() for key, path in files.items() if path is not None}
    return {**_facts(case, labels), **named}


def _facts(case: Case, labels: LabelSet) -> dict[str, Any]:
    """What holds for the case; of a volume, the lowest score, and all who drew in it."""
    rows = [labels.facts(image) for image in case.images]
    scores = [row["score"] for row in rows if row["score"] is not None]
    told = {"id": case.name, "group": rows[0]["group"], "split": case.split}
    told |= {key: "+".join(sorted({row[key] for row in rows})) for key in ("source", "drawn_by")}
    told["reviewed_by"] = "+".join(sorted({row["reviewed_by"] for row in rows if row["reviewed_by"]}))
    return told | ({"score": min(scores)} if scores else {})
