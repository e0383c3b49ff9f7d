"""What users give by mistake, through the configs: each with a message that says how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from labelmine.errors import ConfigError, DataError, LabelmineError, WeightsError
from makers import RunsCode, metrics_of

PhantomFolder = Callable[..., Path]


def dicom_without_pixels(path: Path) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)


def spoil(root: Path) -> None:
    """Add one file of each kind of bad to a good set."""
    images, masks = root / "images", root / "masks"
    picture = Image.open(images / "case_00.png")
    mask = Image.open(masks / "case_00.png")
    picture.save(images / "torn.jpg")
    (images / "torn.jpg").write_bytes((images / "torn.jpg").read_bytes()[:600])
    (images / "empty.png").write_bytes(b"")
    (images / "text.png").write_text("no picture")
    dicom_without_pixels(images / "no_pixels.dcm")
    picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "other_size.png")
    mask.resize((20, 20)).save(masks / "other_size.png")
    mask.save(masks / "without_image.png")


BAD = {"torn.jpg", "empty.png", "text.png", "no_pixels.dcm", "other_size", "without_image.png"}


def quarantined(folder: Path) -> str:
    table = pd.read_csv(folder / "quarantine.csv")
    assert len(table) == len(BAD)
    assert table["reason"].str.len().gt(10).all()
    return " ".join(table.astype(str).agg(" ".join, axis=1))


def test_bad_files_are_set_aside_and_training_goes_on(
    tmp_path: Path, phantom_folder: PhantomFolder, run_config: Any, quick: dict[str, Any]
) -> None:
    root = phantom_folder(12)
    spoil(root)
    knobs = {**quick, "dataset_dir": str(root), "output_dir": str(tmp_path / "out")}
    run_config("train", **knobs)
    said = quarantined(tmp_path / "out")
    assert all(name in said for name in BAD)
    metrics = metrics_of(tmp_path / "out")
    assert metrics["n_quarantined"] == len(BAD)
    assert metrics["n_gold"] + metrics["n_gold_val"] + metrics["n_gold_test"] == 12
    assert "without_image.png" in (tmp_path / "out" / "report" / "index.html").read_text()


def test_bad_files_are_set_aside_and_inference_goes_on(
    mined: Any, tmp_path: Path, phantom_folder: PhantomFolder, run_config: Any
) -> None:
    root = phantom_folder(3)
    spoil(root)
    run_config(
        "inference", dataset_dir=str(root / "images"), model_dir=str(mined.folder), output_dir=str(tmp_path / "out"),
        device="cpu",
    )  # fmt: skip
    assert {path.stem for path in (tmp_path / "out" / "masks").iterdir()} == {
        "case_00", "case_01", "case_02", "other_size",
    }  # fmt: skip
    assert len(pd.read_csv(tmp_path / "out" / "quarantine.csv")) == 4


@pytest.mark.parametrize("name", ["mine", "train"])
def test_missing_folder_can_be_mended_in_place(
    name: str,
    tmp_path: Path,
    teacher_file: str,
    run_config: Any,
    refused: Any,
    quick: dict[str, Any],
) -> None:
    teacher = {"teacher_weights": teacher_file} if name == "mine" else {}
    with refused(DataError, r"nowhere"):
        run_config(name, dataset_dir=str(tmp_path / "nowhere"), output_dir=str(tmp_path / "out"), **quick, **teacher)
    assert not (tmp_path / "out" / "config.yaml").exists(), "the mended command must not be taken for other settings"


def test_all_that_is_wrong_with_knobs_and_weights_is_told_before_anything_is_written(
    tmp_path: Path, run_config: Any, refused: Any, quick: dict[str, Any]
) -> None:
    wrong = {"tau": 1.5, "schedule": "often", "encoder": "resnet43", "teacher_weights": "no_such.pth"}
    told = ("encoder: 'resnet43' is not known", r"tau: .* Got: 1\.5", "schedule: .* Got: 'often'", "got 'no_such.pth'")
    with refused(ConfigError, "".join(f"(?=.*{words})" for words in told)):
        run_config("mine", **{**quick, **wrong}, output_dir=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_no_gold(
    tmp_path: Path,
    phantom_folder: PhantomFolder,
    run_config: Any,
    refused: Any,
    quick: dict[str, Any],
) -> None:
    with refused(DataError, r"too little gold: none of the 4 images has a mask\. Put masks into masks/"):
        run_config(
            "train", dataset_dir=str(phantom_folder(4) / "images"), output_dir=str(tmp_path / "out"), **quick
        )  # fmt: skip


def test_all_masks_empty(
    tmp_path: Path,
    phantom_folder: PhantomFolder,
    run_config: Any,
    refused: Any,
    quick: dict[str, Any],
) -> None:
    root = phantom_folder(4)
    for path in (root / "masks").iterdir():
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(path)
    with refused(DataError, r"empty|no foreground"):
        run_config("train", dataset_dir=str(root), output_dir=str(tmp_path / "out"), **quick)


@pytest.mark.parametrize("knob", ["teacher_weights", "encoder_weights"])
def test_weights_that_hold_code_are_refused(
    knob: str,
    tmp_path: Path,
    teacher_file: str,
    run_config: Any,
    refused: Any,
    quick: dict[str, Any],
) -> None:
    torch.save({"weight": RunsCode(tmp_path / "trap")}, tmp_path / "bad.pth")
    knobs = {**quick, "teacher_weights": teacher_file, knob: str(tmp_path / "bad.pth")}
    with refused(WeightsError, r"refused .*bad.pth: the checkpoint holds Python objects"):
        run_config("mine", **knobs, output_dir=str(tmp_path / "out"))
    assert not (tmp_path / "trap").exists()


def test_a_checkpoint_that_holds_code_is_refused(
    tmp_path: Path, run_config: Any, refused: Any, quick: dict[str, Any]
) -> None:
    (tmp_path / "supervised").mkdir()
    torch.save({"network": RunsCode(tmp_path / "trap")}, tmp_path / "supervised" / "checkpoint.pt")
    with refused(WeightsError, r"supervised/checkpoint.pt: cannot go on .*could run any code"):
        run_config("train", output_dir=str(tmp_path), **quick)
    assert not (tmp_path / "trap").exists()


def student_of_another_model(folder: Path, teacher_file: str) -> None:
    (folder / "model.safetensors").write_bytes(Path(teacher_file).read_bytes())


def student_with_code(folder: Path, teacher_file: str) -> None:
    torch.save({"weight": RunsCode(folder / "trap")}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (lambda folder, teacher_file: None, r"No student at model.safetensors .*give --model_dir"),
        (student_of_another_model, r"weights of another model, not a labelmine student"),
        (student_with_code, r"truncated or no weights file"),
    ],
    ids=["missing", "another model", "code"],
)
@pytest.mark.parametrize("name", ["inference", "label", "evaluate"])
def test_model_dir_without_a_student(
    name: str,
    put: Callable[[Path, str], None],
    message: str,
    tmp_path: Path,
    teacher_file: str,
    run_config: Any,
    refused: Any,
) -> None:
    put(tmp_path, teacher_file)
    with refused(WeightsError, message):
        run_config(name, model_dir=str(tmp_path), output_dir=str(tmp_path / "out"), device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_student_is_no_teacher(
    mined: Any, tmp_path: Path, run_config: Any, refused: Any, quick: dict[str, Any]
) -> None:
    with refused(LabelmineError, r"weights of another model, not of a compact teacher.*configs/teacher_sam.yaml"):
        run_config(
            "mine", **{**quick, "teacher_weights": str(mined.folder / "model.safetensors")}, output_dir=str(tmp_path)
        )


def test_an_encoder_s_weights_must_fit_it(
    mined: Any, tmp_path: Path, run_config: Any, refused: Any, quick: dict[str, Any]
) -> None:
    with refused(WeightsError, r"weights of encoder 'mobilenet_v2' are missing"):
        run_config(
            "train", encoder_weights=str(mined.folder / "model.safetensors"), output_dir=str(tmp_path), **quick
        )  # fmt: skip
