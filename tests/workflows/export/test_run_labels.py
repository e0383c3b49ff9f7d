"""What of a run goes out: gold that it knew, corrections, accepted labels; and what does not, counted."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from labelmine.data import ClassMap, Item, LabelStore, find_items
from labelmine.data.split_file import save_split
from labelmine.errors import ConfigError, DataError
from labelmine.exchange.coco import write_coco
from labelmine.exchange.decisions import Decision, DecisionLog
from labelmine.exchange.listed_files import write_datalist, write_table
from labelmine.exchange.yolo import write_yolo
from labelmine.workflows.export.run_labels import gather_labels

SPLITS = {"train": (0, 1, 2, 3, 9), "val": (4,), "test": (5,), "unlabeled": (6, 7, 8)}
SCORES = {6: 0.9, 8: 0.2, 9: 0.1}


@pytest.fixture
def make_run(tmp_path: Path, phantom_folder: Callable[..., Path]) -> Callable[..., Path]:
    """A run on eleven images, the first eight with gold, as it would have left them; 9 was corrected, 10 held out."""

    def make(workflow: str = "mine", dataset_dir: Path | None = None) -> Path:
        data, run = dataset_dir or phantom_folder(11, labeled=8), tmp_path / "run"
        store = LabelStore(run / "labels", ClassMap())
        items = {int(item["id"][-2:]): item for item in find_items(data)}
        for number, score in SCORES.items():
            facts = {"score": score, "accepted": score > 0.5, "reason": "" if score > 0.5 else "low_score"}
            store.write(items[number], np.ones((1, 48, 48), dtype=bool), {**facts, "drawn_by": "labeler"})
        settings = {"workflow": workflow, "dataset_dir": str(data), "slice_axis": -1, "window": None}
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
        if workflow == "mine":
            placed = [Item({**items[n], "split": part}) for part, own in SPLITS.items() for n in own]  # type: ignore[typeddict-item]
            save_split(run / "split.json", list(items.values()), placed, {}, [("case_00", "case_06", 3)])
            (run / "corrections").mkdir()
            Image.fromarray(np.full((48, 48), 255, np.uint8)).save(run / "corrections" / "case_09.png")
        return run

    return make


def by_source(labels: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for image in labels.images:
        found.setdefault(f"{image.split} {image.source}", []).append(int(image.id[-2:]))
    return found


def test_a_mine_run(make_run: Callable[..., Path], tmp_path: Path) -> None:
    labels = gather_labels(make_run(), None, tmp_path / "scratch")
    assert by_source(labels) == {
        "train gold": [0, 1, 2, 3], "val gold": [4], "test gold": [5], "train pseudo": [6], "train corrected": [9],
    }  # fmt: skip
    assert labels.left_out == {
        "label rejected: the score is too low": 1, "without any label": 1,
        "without gold, of a validation or test group": 1,
    }  # fmt: skip
    assert sum(labels.left_out.values()) + len(labels.images) == 11
    corrected = next(image for image in labels.images if image.source == "corrected")
    mask, weight = labels.read_label(corrected)
    assert mask.all()
    assert (weight == 1).all()
    mined = next(image for image in labels.images if image.source == "pseudo")
    assert (mined.score, mined.drawn_by) == (0.9, "labeler")
    assert labels.near_duplicates == [("case_00", "case_06", 3)]


def test_a_label_run_has_no_split(make_run: Callable[..., Path], tmp_path: Path) -> None:
    labels = gather_labels(make_run("label"), None, tmp_path / "scratch")
    assert by_source(labels) == {"train gold": list(range(8))}
    assert labels.left_out == {"label rejected: the score is too low": 2, "without any label": 1}


def test_a_run_that_only_trained_hands_on_its_gold(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run()
    shutil.rmtree(run / "labels")
    labels = gather_labels(run, None, tmp_path / "scratch")
    assert Counter(image.source for image in labels.images) == {"gold": 6, "corrected": 1}
    assert labels.left_out["without any label"] == 3


def test_images_that_moved_are_asked_for(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run()
    moved = (tmp_path / "dataset").rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"dataset_dir: the images of run are not where the run found them. Give --d"):
        gather_labels(run, None, tmp_path / "scratch")
    labels = gather_labels(run, str(moved), tmp_path / "scratch")
    assert Counter(image.source for image in labels.images) == {"gold": 6, "pseudo": 1, "corrected": 1}
    (moved / "masks" / "case_03.png").unlink()
    with pytest.raises(DataError, match="splits other images, masks or groups than were found"):
        gather_labels(run, str(moved), tmp_path / "scratch")


def decide(run: Path, number: int, verdict: Any, mask: np.ndarray | None = None, folder: str = "review") -> None:
    facts = {"when": "2026-01-02", "seconds": 1.0, "label_sha256": "", "expected_dice": 0.7}
    decision = Decision(id=f"case_{number:02d}", reviewer="Ann Lee", verdict=verdict, **facts)  # type: ignore[arg-type]
    DecisionLog(run / folder, ClassMap()).append(decision, mask)


def test_what_reviewers_decided_counts(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run, half = make_run(), np.zeros((1, 48, 48), bool)
    half[:, :24] = True
    decide(run, 6, "rejected")  # of which the run was sure
    decide(run, 8, "accepted", np.ones((1, 48, 48), bool))  # which it doubted
    decide(run, 7, "corrected", half)  # which it had no label of
    decide(run, 5, "corrected", half)  # test gold stays
    labels = gather_labels(run, None, tmp_path / "scratch")
    assert by_source(labels) == {
        "train gold": [0, 1, 2, 3], "val gold": [4], "test gold": [5], "train corrected": [7, 9], "train accepted": [8],
    }  # fmt: skip
    assert labels.left_out["label rejected by a reviewer"] == 1
    assert "label rejected: the score is too low" not in labels.left_out
    found = {image.id: image for image in labels.images}
    assert (labels.read_label(found["case_07"])[0] == half).all()
    assert (labels.read_label(found["case_08"])[1] == 1).all()
    assert (found["case_08"].drawn_by, found["case_08"].score, found["case_07"].drawn_by) == ("labeler", 0.7, "expert")
    assert {image.id: image.reviewed_by for image in labels.images if image.reviewed_by} == {
        "case_07": "expert", "case_08": "expert",
    }  # fmt: skip
    named = gather_labels(run, None, tmp_path / "again", reviewer_names=True)
    assert {image.reviewed_by for image in named.images} == {"", "Ann Lee"}


def test_a_review_elsewhere_and_a_mask_that_was_changed(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = make_run()
    decide(run, 6, "rejected")
    decide(run, 8, "corrected", np.ones((1, 48, 48), bool), folder="other")
    labels = gather_labels(run, None, tmp_path / "scratch", str(run / "other"))
    assert by_source(labels)["train pseudo"] == [6]
    with pytest.raises(ConfigError, match=r"review_dir: expected a review folder with decisions.jsonl. Got: labels"):
        gather_labels(run, None, tmp_path / "scratch", str(run / "labels"))
    (mask,) = (run / "other" / "masks").iterdir()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(mask)
    with pytest.raises(DataError, match=r"case_08: .* was changed since it was decided"):
        gather_labels(run, None, tmp_path / "scratch", str(run / "other"))


def test_forms_say_who_reviewed_a_label(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run, half = make_run(), np.zeros((1, 48, 48), bool)
    half[:, :24] = True
    decide(run, 8, "corrected", half)
    labels = gather_labels(run, None, tmp_path / "scratch", reviewer_names=True)
    write_table(labels, tmp_path / "csv")
    rows = pd.read_csv(tmp_path / "csv" / "dataset.csv", keep_default_na=False).set_index("id")
    assert rows.loc["case_08", ["source", "reviewed_by"]].tolist() == ["corrected", "Ann Lee"]
    assert rows.loc["case_06", ["source", "reviewed_by"]].tolist() == ["pseudo", ""]
    drawn = np.asarray(Image.open(tmp_path / "csv" / rows.loc["case_08", "label"]))
    assert (drawn == half[0]).all()
    write_datalist(labels, tmp_path / "list")
    training = json.loads((tmp_path / "list" / "datalist.json").read_text())["training"]
    assert [row["reviewed_by"] for row in training if row["id"] == "case_08"] == ["Ann Lee"]
    write_yolo(labels, tmp_path / "yolo")
    facts = pd.read_csv(tmp_path / "yolo" / "labels.csv", keep_default_na=False).set_index("case")
    assert facts.loc["case_08", "reviewed_by"] == "Ann Lee"
    outline = (tmp_path / "yolo" / "labels" / "train" / "case_08.txt").read_text().split()[1:]
    assert max(map(float, outline[1::2])) == 0.5  # the upper half
    pytest.importorskip("pycocotools")
    write_coco(labels, tmp_path / "coco")
    content = json.loads((tmp_path / "coco" / "annotations" / "instances_train.json").read_text())
    (image,) = (one for one in content["images"] if one["id_in_set"] == "case_08")
    assert (image["source"], image["reviewed_by"]) == ("corrected", "Ann Lee")
    (area,) = (one["area"] for one in content["annotations"] if one["image_id"] == image["id"])
    assert area == half.sum()
