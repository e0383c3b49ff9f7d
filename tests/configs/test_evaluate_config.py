from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelmine.data import find_images
from labelmine.errors import ConfigError, DataError
from labelmine.prediction import Predictor, evaluate
from makers import metrics_of


@pytest.mark.parametrize("refine", [False, True])
def test_a_student_against_gold(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], refine: bool, run_config: Any
) -> None:
    run_config(
        "evaluate", dataset_dir=str(phantom_folder(6, labeled=4)), model_dir=str(mined.folder), refine=refine,
        teacher_weights=mined.knobs["teacher_weights"], output_dir=str(tmp_path / "out"), device="cpu",
    )  # fmt: skip
    assert metrics_of(tmp_path / "out")["student"]["dice"]["n"] == 4
    assert len(pd.read_csv(tmp_path / "out" / "per_image.csv")) == 4
    assert (tmp_path / "out" / "report" / "index.html").is_file()


def test_only_the_test_images_of_a_run(mined: Any, tmp_path: Path, run_config: Any) -> None:
    run_config(
        "evaluate", dataset_dir=str(mined.folder / "phantom" / "dataset.csv"), model_dir=str(mined.folder),
        split_file=str(mined.folder / "split.json"), output_dir=str(tmp_path), device="cpu",
    )  # fmt: skip
    kept = mined.metrics[mined.metrics["kept"]]
    assert metrics_of(tmp_path)["student"]["dice"] == kept["dice"]


def test_the_student_may_look_eight_times(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    knobs = {"dataset_dir": str(phantom_folder(4)), "model_dir": str(mined.folder), "device": "cpu"}
    tables = {}
    for tta in (False, True):
        run_config("evaluate", **knobs, tta=str(tta).lower(), output_dir=str(tmp_path / str(tta)))
        tables[tta] = pd.read_csv(tmp_path / str(tta) / "per_image.csv")
    images = find_images(knobs["dataset_dir"], str(tmp_path))
    averaged = evaluate(Predictor.load(mined.folder / "model.safetensors", tta=True), images.items, images)
    assert tables[True]["dice"].tolist() == pytest.approx(averaged["dice"].tolist(), abs=1e-5)
    assert tables[True]["dice"].tolist() != pytest.approx(tables[False]["dice"].tolist(), abs=1e-3)


def test_mask_files_against_gold(
    mined: Any,
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    run_config: Any,
    refused: Any,
) -> None:
    root = phantom_folder(4)
    shutil.copytree(root / "masks", tmp_path / "answers")
    empty = np.zeros_like(np.asarray(Image.open(root / "masks" / "case_01.png")))
    Image.fromarray(empty).save(tmp_path / "answers" / "case_01.png")
    knobs = {"dataset_dir": str(root), "masks_dir": str(tmp_path / "answers"), "device": "cpu"}
    run_config("evaluate", **knobs, output_dir=str(tmp_path / "out"))

    table = pd.read_csv(tmp_path / "out" / "per_image.csv").set_index("id")
    assert table["dice"].drop("case_01").tolist() == [1.0, 1.0, 1.0]
    assert table.loc["case_01", "dice"] == (1.0 if table.loc["case_01", "gold_empty"] else 0.0)

    (tmp_path / "answers" / "case_02.png").unlink()
    with refused(DataError, "masks_dir: no mask of the image 'case_02': give each image with gold a mask of its name"):
        run_config("evaluate", **knobs, output_dir=str(tmp_path / "again"))


def test_mask_files_have_values_of_their_own(
    tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    """Gold that is smeared is cut halfway, at 127.5; answers of 0 and 1 are not."""
    root = phantom_folder(4)
    (tmp_path / "answers").mkdir()
    for path in (root / "masks").iterdir():
        mask = np.asarray(Image.open(path).convert("L"))
        Image.fromarray((mask > 0).astype(np.uint8)).save(tmp_path / "answers" / path.name)
        Image.fromarray((mask > 0) * np.uint8(255)).save(path, "JPEG", quality=90)
    assert find_images(str(root), str(tmp_path / "found")).classes.cut == 127.5
    run_config("evaluate", dataset_dir=str(root), masks_dir=str(tmp_path / "answers"), output_dir=str(tmp_path / "out"))
    assert metrics_of(tmp_path / "out")["masks"]["dice"]["mean"] > 0.99


def test_without_gold_there_is_nothing_to_compare(
    mined: Any,
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    run_config: Any,
    refused: Any,
) -> None:
    with refused(DataError, r"no image with gold to compare with. Put gold into masks/ beside images/"):
        run_config(
            "evaluate", dataset_dir=str(phantom_folder(3) / "images"), model_dir=str(mined.folder),
            output_dir=str(tmp_path / "out"), device="cpu",
        )  # fmt: skip


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'mask_dir' \(did you mean 'masks_dir'\?\)"):
        run_config("evaluate", mask_dir="somewhere")
