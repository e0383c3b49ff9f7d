"""What of a run goes out: gold that it knew, corrections, accepted labels; and what does not, counted."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from labelmine.data import ClassMap, Item, LabelStore, find_items
from labelmine.data.split_file import save_split
from labelmine.errors import ConfigError, DataError
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
