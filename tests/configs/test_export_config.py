"""Exports of a run on phantoms, from the config to files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labelmine.data import find_items
from labelmine.errors import ConfigError, DataError
from labelmine.workflows.export import FORMS


@pytest.fixture
def knobs(mined: Any, tmp_path: Path) -> dict[str, Any]:
    return {"model_dir": str(mined.folder), "output_dir": str(tmp_path / "out")}


def told(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "out" / "export.json").read_text())
    return found


def test_gold_and_accepted_labels_go_out(knobs: dict[str, Any], mined: Any, tmp_path: Path, run_config: Any) -> None:
    run_config("export", form="csv", **knobs)
    record = told(tmp_path)
    split = json.loads((mined.folder / "split.json").read_text())
    accepted, rejected = (mined.metrics["pseudo_labels"][key] for key in ("accepted", "rejected"))
    assert record["images"]["train"] == {"gold": len(split["train"]), **({"pseudo": accepted} if accepted else {})}
    assert record["images"]["val"] == {"gold": len(split["val"])}
    assert record["images"]["test"] == {"gold": len(split["test"])}
    assert sum(record["left_out"].values()) == rejected
    items = find_items(tmp_path / "out" / "dataset.csv")
    assert {item["id"]: item["split"] for item in items if item["split"] != "train"} == {
        name: part for part in ("val", "test") for name in split[part]
    }
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert str(tmp_path).encode() not in everything
    assert str(mined.folder).encode() not in everything
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*record["files"], "export.json"])


def test_an_earlier_export_in_the_form_is_replaced_and_nothing_else(
    knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    out = tmp_path / "out"
    run_config("export", form="csv", **knobs)
    first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "images" / "old.png").touch()
    (out / ".exporting" / "content").mkdir(parents=True)  # as a kill leaves it
    (out / ".exporting" / "content" / "half.png").touch()
    (out / "notes.txt").write_text("mine")
    run_config("export", form="csv", **knobs)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == first
    with refused(ConfigError, "out holds an export in the form csv; give a new folder, or empty this one"):
        run_config("export", form="datalist", **knobs)
    (out / "export.json").unlink()
    with refused(ConfigError, r"out holds other files \(dataset.csv, images, labels\); give a new folder"):
        run_config("export", form="csv", **knobs)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"form": "csvv"}, ConfigError, r"form: expected .* Got: 'csvv' \(did you mean 'csv'\?\). Known are "),
        ({"form": None}, ConfigError, "form: expected a form that is known. Got: None. .*datalist: "),
        ({"form": "csv", "model_dir": None}, ConfigError, "model_dir: csv is a form of labels, so it expects"),
        ({"form": "csv", "model_dir": "/nowhere"}, ConfigError, "model_dir: expected .* found no folder nowhere"),
        ({"form": "csv", "dataset_dir": "/nowhere"}, ConfigError, "dataset_dir: the images of .* Give --dataset_dir"),
        ({"form": "csv", "image_files": "move"}, ConfigError, "image_files: expected 'copy' or 'link'. Got: 'move'"),
        ({"form": "csv", "forms": "x"}, ConfigError, r"'forms' \(did you mean 'form'\?\)"),
    ],
)
def test_what_is_refused(
    change: dict[str, Any], kind: Any, message: str, knobs: dict[str, Any], run_config: Any, refused: Any
) -> None:
    with refused(kind, message):
        run_config("export", **{**knobs, **change})
    assert not Path(knobs["output_dir"]).exists() or not any(Path(knobs["output_dir"]).glob("[!.]*"))


def test_a_run_without_labels_is_refused(
    mined: Any, knobs: dict[str, Any], tmp_path: Path, run_config: Any, refused: Any
) -> None:
    (tmp_path / "evaluated").mkdir()
    shutil.copy(mined.folder / "config.yaml", tmp_path / "evaluated")
    with refused(DataError, "evaluated: a mine.yaml run without labels and without a split"):
        run_config("export", **{**knobs, "model_dir": str(tmp_path / "evaluated")}, form="csv")


def test_every_form_can_be_loaded_and_says_what_it_is_for() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
    for form in FORMS:
        assert callable(form.load())
        assert 10 < len(form.purpose) < 120
