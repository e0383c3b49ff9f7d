"""nnU-Net's raw data set: its layout, its folds, and nnU-Net's own word where it is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from labelmine.data import ClassMap
from labelmine.errors import DataError
from labelmine.exchange.label_set import LabelSet
from labelmine.exchange.nnunet import write_nnunet


def json_in(path: Path) -> Any:
    return json.loads(path.read_text())


def expected(labels: LabelSet, image: Any) -> np.ndarray:
    """1 and 2 for the classes, 3 where a pixel abstains."""
    mask, weight = labels.read_label(image)
    return np.where(weight == 0, 3, np.where(mask[1], 2, mask[0]))


@pytest.mark.parametrize("colour", [True, False])
def test_pictures(
    colour: bool, make_label_set: Callable[..., LabelSet], tmp_path: Path, tells_nothing: Callable
) -> None:
    labels, out = make_label_set(colour), tmp_path / "out"
    figures = write_nnunet(labels, out)
    told = json_in(out / "dataset.json")
    assert told["channel_names"] == ({"0": "R", "1": "G", "2": "B"} if colour else {"0": "grey"})
    assert told["labels"] == {"background": 0, "lesion": 1, "scar": 2, "ignore": 3}
    assert (told["numTraining"], told["file_ending"]) == (7, ".png")
    assert told["overwrite_image_reader_writer"] == "NaturalImage2DIO"
    for image in labels.images:
        part = "Ts" if image.split == "test" else "Tr"
        pixels = np.asarray(Image.open(out / f"images{part}" / f"{labels.names[image.id]}_0000.png"))
        assert pixels.ndim == (3 if colour else 2)
        label = np.asarray(Image.open(out / f"labels{part}" / f"{labels.names[image.id]}.png"))
        np.testing.assert_array_equal(label, expected(labels, image))
    assert {path.name for path in (out / "imagesTs").iterdir()} == {"d_0000.png"}
    assert {path.name for path in (out / "weightsTr").iterdir()} == {"e.png", "f.png"}
    assert figures["pixels"] == {"ignored": 2 * 2 * 28, "of_several_classes": 0}
    tells_nothing(out)


def test_folds_keep_groups_and_near_duplicates_together(
    make_label_set: Callable[..., LabelSet], tmp_path: Path
) -> None:
    write_nnunet(make_label_set(), tmp_path / "out")
    folds = json_in(tmp_path / "out" / "splits_final.json")
    training = {"p__a", "p__b", "c", "e", "f", "g", "h"}
    assert folds[0] == {"train": sorted(training - {"c"}), "val": ["c"]}, "as the run validated"
    assert sorted(name for fold in folds for name in fold["val"]) == ["c", "g", "h", "p__a", "p__b"], "gold, each once"
    for fold in folds:
        assert not set(fold["train"]) & set(fold["val"])
        if "p__a" in fold["val"]:
            assert "p__b" in fold["val"]
            assert set(fold["train"]) == training - {"p__a", "p__b", "f"}, "f is nearly p/a"
        else:
            assert {"p__a", "p__b", "e", "f"} <= set(fold["train"])


def test_without_gold_folds_validate_on_pseudo_labels(make_label_set: Callable[..., LabelSet], tmp_path: Path) -> None:
    labels = make_label_set()
    mined = [image for image in labels.images if image.source == "pseudo"]
    write_nnunet(replace(labels, images=mined), tmp_path / "out")
    folds = json_in(tmp_path / "out" / "splits_final.json")
    assert sorted(folds, key=str) == [{"train": ["e"], "val": ["f"]}, {"train": ["f"], "val": ["e"]}]


def test_volumes_ignore_slices_without_a_label(
    volume_set: LabelSet, tmp_path: Path, tells_nothing: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    write_nnunet(volume_set, out)
    assert "groups suffice for 1 of 5 folds" in caplog.text
    told = json_in(out / "dataset.json")
    assert (told["file_ending"], told["numTraining"], told["channel_names"]) == (".nii.gz", 3, {"0": "image"})
    assert "overwrite_image_reader_writer" not in told
    label = np.asanyarray(nib.load(out / "labelsTr" / "v3.nii.gz").dataobj)
    assert (label[..., [0, 3, 4]] == 3).all()
    for image in volume_set.images:
        label = nib.load(out / "labelsTr" / f"{image.id[:2]}.nii.gz")
        picture = nib.load(out / "imagesTr" / f"{image.id[:2]}_0000.nii.gz")
        np.testing.assert_array_equal(label.dataobj[..., image.item["frame"]], expected(volume_set, image))
        np.testing.assert_array_equal(picture.dataobj, nib.load(image.item["image"]).dataobj)
        np.testing.assert_allclose(label.affine, picture.affine)
    assert json_in(out / "splits_final.json") == [{"train": ["v1", "v3"], "val": ["v2"]}]
    tells_nothing(out)


def test_pictures_among_volumes_make_all_of_them_pictures(
    make_label_set: Callable[..., LabelSet], volume_set: LabelSet, tmp_path: Path
) -> None:
    pictures = make_label_set()
    write_nnunet(replace(pictures, images=[*pictures.images[:4], *volume_set.images[:5]]), tmp_path / "out")
    assert json_in(tmp_path / "out" / "dataset.json")["file_ending"] == ".png"
    assert (tmp_path / "out" / "labelsTr" / "v1_frame0003.png").is_file()


def test_ignore_is_named_only_where_a_pixel_abstains(make_label_set: Callable[..., LabelSet], tmp_path: Path) -> None:
    labels = make_label_set()
    write_nnunet(replace(labels, images=labels.images[:4]), tmp_path / "out")
    assert json_in(tmp_path / "out" / "dataset.json")["labels"] == {"background": 0, "lesion": 1, "scar": 2}
    with pytest.raises(DataError, match="nnU-Net has a meaning of its own for 'ignore'; name the class otherwise"):
        write_nnunet(replace(labels, classes=ClassMap(("Ignore", "b"), (3, 7))), tmp_path / "other")


@pytest.mark.nnunet
@pytest.mark.slow
def test_nnunet_accepts_pictures_and_volumes(
    make_label_set: Callable[..., LabelSet], volume_set: LabelSet, tmp_path: Path
) -> None:
    command = shutil.which("nnUNetv2_plan_and_preprocess", path=os.environ.get("NNUNET_BIN"))
    if command is None:
        pytest.skip("nnUNetv2_plan_and_preprocess is not there; set NNUNET_BIN to the bin/ of an environment with it")
    write_nnunet(make_label_set(), tmp_path / "raw" / "Dataset501_grey")
    write_nnunet(make_label_set(colour=True), tmp_path / "raw" / "Dataset502_colour")
    write_nnunet(volume_set, tmp_path / "raw" / "Dataset503_volumes")
    places = {f"nnUNet_{name}": str(tmp_path / name) for name in ("raw", "preprocessed", "results")}
    done = subprocess.run(
        [command, "-d", "501", "502", "503", "--verify_dataset_integrity", "--no_pp", "-npfp", "1"],
        env={**os.environ, **places}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.count("verify_dataset_integrity Done") == 3
    assert not {"error", "warning"} & set(re.findall(r"\b(?:error|warning)\b(?! messages)", said.lower())), said
    assert len(list((tmp_path / "preprocessed").glob("*/nnUNetPlans.json"))) == 3
