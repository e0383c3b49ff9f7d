"""The examples run, and do what their guides say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from labelmine.bundle import bundle_root
from labelmine.data import ClassMap, LabelStore, find_items
from makers import loaded_script

example = partial(loaded_script, folder="examples")
EXAMPLES = bundle_root() / "examples"
#: What stands in for nnU-Net: each command insists on what the real one needs.
NNUNET = {
    "nnUNetv2_plan_and_preprocess": (
        '[ "$*" = "-d 501 --verify_dataset_integrity" ] && [ -f "$nnUNet_raw/Dataset501_polyps/dataset.json" ] '
        '&& mkdir -p "$nnUNet_preprocessed/Dataset501_polyps"'
    ),
    "nnUNetv2_train": (
        '[ "$*" = "501 2d 0" ] && mkdir -p "$nnUNet_results" && '
        'cp "$nnUNet_preprocessed/Dataset501_polyps/splits_final.json" "$nnUNet_results/trained_on.json"'
    ),
}


def test_handler_labels_the_images_without_masks(capsys: pytest.CaptureFixture[str]) -> None:
    example("handler_in_monai_trainer").main(epochs=1)
    assert "3 steps; labels were made for 6 images" in capsys.readouterr().out


def test_own_labeler_marks_the_square_and_refuses_the_field() -> None:
    label = example("own_labeler").label_two_images()
    assert label.accepted.tolist() == [True, False]
    assert label.mask[0].sum() == 16 * 16
    assert label.weight[1].sum() == 0


def test_the_student_needs_onnxruntime_alone_and_draws_as_predict_does(
    exported: Path, phantom_folder: Callable[..., Path], tmp_path: Path
) -> None:
    images = phantom_folder(2, size=48) / "images"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(images / "wide.png")
    script = EXAMPLES / "student_with_onnxruntime.py"
    words = [str(script), str(exported / "onnx" / "model.onnx"), str(images), str(tmp_path / "masks")]
    alone = (
        "import runpy, sys; sys.modules.update(dict.fromkeys(('torch', 'monai', 'labelmine'))); "
        f"sys.argv = {words!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("classes: object; research; not a medical device\n")
    predict = ["predict", str(images), "--model_dir", str(exported), "--output_dir", str(tmp_path / "own")]
    subprocess.run([sys.executable, "-m", "labelmine", *predict, "--device", "cpu"], check=True, capture_output=True)
    for name in ("case_00", "case_01", "wide"):
        mask = np.asarray(Image.open(tmp_path / "masks" / "object" / f"{name}.png")) > 0
        own = np.asarray(Image.open(tmp_path / "own" / "masks" / f"{name}.png")) > 0
        assert 0 < mask.mean() < 1
        assert (mask != own).mean() < 0.001


def labelled_run(folder: Path, images: Path) -> Path:
    """A run of ``label`` on images without masks, as it would have left them."""
    store = LabelStore(folder / "labels", ClassMap())
    for item in find_items(images):
        facts = {"score": 0.9, "accepted": True, "reason": "", "drawn_by": "labeler"}
        store.write(item, np.ones((1, 48, 48), dtype=bool), facts)
    settings = {"workflow": "label", "dataset_dir": str(images), "slice_axis": -1, "window": None}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def in_nnunet(run: Path, folder: Path, commands: dict[str, str], **places: str) -> subprocess.CompletedProcess[str]:
    """Run the example with commands of ours before all others, and what nnU-Net writes in a folder."""
    (folder / "bin").mkdir()
    for name, text in {**commands, "labelmine": f'exec "{sys.executable}" -m labelmine "$@"'}.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), *places.values(), os.environ["PATH"]])
    return subprocess.run(
        ["bash", str(EXAMPLES / "labels_in_nnunet.sh"), str(run), "501", "polyps"],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_labels_reach_nnunet_with_the_folds_of_the_run(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    run = labelled_run(tmp_path / "run", phantom_folder(6, labeled=0))
    done = in_nnunet(run, tmp_path, NNUNET)
    assert done.returncode == 0, done.stderr
    folds = json.loads((tmp_path / "nnunet" / "results" / "trained_on.json").read_text())
    assert sorted(folds[0]["train"] + folds[0]["val"]) == [f"case_{number:02d}" for number in range(6)]
    assert len(list((tmp_path / "nnunet" / "raw" / "Dataset501_polyps" / "labelsTr").glob("*.png"))) == 6


@pytest.mark.nnunet
@pytest.mark.slow
def test_nnunet_itself_takes_them(phantom_folder: Callable[..., Path], tmp_path: Path) -> None:
    command = shutil.which("nnUNetv2_plan_and_preprocess", path=os.environ.get("NNUNET_BIN"))
    if command is None:
        pytest.skip("nnUNetv2_plan_and_preprocess is not there; set NNUNET_BIN to the bin/ of an environment with it")
    run = labelled_run(tmp_path / "run", phantom_folder(6, labeled=0))
    train = {"nnUNetv2_train": NNUNET["nnUNetv2_train"]}
    done = in_nnunet(run, tmp_path, train, nnunet=str(Path(command).parent))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "nnunet" / "preprocessed" / "Dataset501_polyps" / "nnUNetPlans.json").is_file()
    assert (tmp_path / "nnunet" / "results" / "trained_on.json").is_file()
