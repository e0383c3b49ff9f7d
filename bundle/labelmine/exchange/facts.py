"""``labels.csv``: who drew each label and how much it counts, beside forms that have no place for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from labelmine.atomic import write_whole
from labelmine.exchange.case_files import Case
from labelmine.exchange.label_set import LabelSet

FACTS_NAME = "labels.csv"
COLUMNS = ("case", "id", "group", "split", "source", "drawn_by", "reviewed_by", "score", "mean_weight", "abstaining")


def write_facts(cases: Iterable[Case], labels: LabelSet, folder: Path) -> None:
    """Write a row per labelled image: its expected Dice as ``score``, the share of its pixels that abstain."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for case in cases:
        for image in case.images:
            weight = labels.read_label(image)[1]
            counts = {"mean_weight": f"{weight.mean():.4f}", "abstaining": f"{(weight == 0).mean():.4f}"}
            writer.writerow({"case": case.name, **labels.facts(image), **counts})
    write_whole(folder / FACTS_NAME, text.getvalue().encode())
