"""Mask files against gold, whatever their images are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.errors import DataError
from labelmine.workflows.evaluate import Evaluation, EvaluationTask
from makers import knobs_of, metrics_of

NAMES = ("scan", "scan.a", "img[1]", "img1")


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """Four images whose names are parts or patterns of each other, with unlike masks and strangers beside them."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number, name in enumerate(NAMES):
        mask = np.zeros((32, 32), np.uint8)
        mask[4 : 12 + 4 * number, 6 * number : 6 * number + 8] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
        Image.fromarray(np.stack([mask // 2 + number] * 3, -1)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "masks" / "scan.csv").write_text("a,b\n")
    (tmp_path / "masks" / "scan.json").write_text("{}")
    return tmp_path


def examine(dataset: Path, masks: Path, out: Path) -> None:
    knobs = knobs_of("evaluate", dataset_dir=str(dataset), masks_dir=str(masks), output_dir=str(out))
    Evaluation(EvaluationTask(knobs)).examine()


def test_gold_against_itself_scores_1(gold: Path, tmp_path: Path) -> None:
    examine(gold, gold / "masks", tmp_path / "out")
    dice = metrics_of(tmp_path / "out")["masks"]["dice"]
    assert (dice["n"], dice["mean"]) == (4, 1.0)


def test_a_mask_of_a_like_name_takes_no_other_s_place(gold: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    shutil.copytree(gold / "masks", answers)
    (answers / "scan.png").unlink()
    with pytest.raises(DataError, match="masks_dir: no mask of the image 'scan': give each image with gold a mask"):
        examine(gold, answers, tmp_path / "out")
    assert not (tmp_path / "out" / "metrics.json").exists()
