"""``docs/reference/outputs.md`` against a run: no file, column or key that the page does not name."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pytest

from labelmine.bundle import bundle_root
from makers import loaded_script

PAGE = (bundle_root() / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`]+)`", PAGE))
#: The page speaks of the folder: masks of images, pictures of the report, records of programs beside ours.
FOLDERS = {"masks", "figures", "tensorboard", "phantom"}


def test_every_file_is_on_the_page(mined: Any) -> None:
    files = [path.relative_to(mined.folder) for path in mined.folder.rglob("*") if path.is_file()]
    shown = {file for file in files if not FOLDERS & set(file.parts) and not file.name.startswith(".")}
    headings = set(re.findall(r"[\w]+\.(?:csv|json)", PAGE))
    assert {file.as_posix() for file in shown if file.name not in NAMED | headings} <= {"report/index.html"}


TABLES = ["test_mined", "labels/manifest", "labels/review", "labels/against_dropped_gold", "mined/history"]


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_on_the_page(table: str, mined: Any) -> None:
    assert set(pd.read_csv(mined.folder / f"{table}.csv").columns) <= NAMED


def test_every_key_of_the_metrics_is_on_the_page(mined: Any) -> None:
    metrics = json.loads((mined.folder / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) | set(metrics["supervised"]) <= NAMED


def test_the_example_reads_a_run(mined: Any) -> None:
    found = loaded_script("../examples/read_a_run").summary(mined.folder)
    assert found["supervised"] == pytest.approx(mined.metrics["supervised"]["dice"]["mean"])
    assert 0 <= found["used"] <= found["labels"]
