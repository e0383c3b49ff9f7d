from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from dicom_makers import write_slices
from labelmine.data import LabelStore
from labelmine.errors import ConfigError


def test_labels_for_one_more_folder(
    mined: Any,
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    run_config: Any,
    refused: Any,
) -> None:
    knobs = {
        "dataset_dir": str(phantom_folder(5) / "images"),
        "model_dir": str(mined.folder),
        "teacher_weights": mined.knobs["teacher_weights"],
        "output_dir": str(tmp_path / "out"),
        "batch_size": 2,
        "device": "cpu",
    }
    run_config("label", **knobs)
    table = pd.read_csv(tmp_path / "out" / "labels" / "manifest.csv", keep_default_na=False)
    assert table["id"].tolist() == [f"case_{number:02d}" for number in range(5)]
    assert len(list((tmp_path / "out" / "labels" / "masks").iterdir())) == 5
    assert ((table["reason"] == "") == table["accepted"]).all()

    def forbidden(*_: Any) -> None:
        raise AssertionError("labelled again")

    monkeypatch.setattr(LabelStore, "write", forbidden)
    run_config("label", **knobs)
    with refused(ConfigError, r"out holds a run with other settings \(tau: 0.5 then, 0.3 now\).*another --output_dir"):
        run_config("label", **knobs, tau=0.3)


def test_labels_of_a_dicom_series_leave_as_a_segmentation(
    mined: Any, tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The student learnt for four steps, and finds what it finds: its labels are taken as accepted."""
    write_slices(tmp_path / "in", 2)
    write = LabelStore.write

    def accept(store: LabelStore, item: Any, mask: Any, record: Any, *rest: Any) -> None:
        write(store, item, mask, {**record, "accepted": True}, *rest)

    monkeypatch.setattr(LabelStore, "write", accept)
    run_config(
        "label", dataset_dir=str(tmp_path / "in"), model_dir=str(mined.folder), min_score=0.0,
        teacher_weights=mined.knobs["teacher_weights"], output_dir=str(tmp_path / "out"), device="cpu",
    )  # fmt: skip
    labels = [np.asarray(Image.open(path)) > 0 for path in sorted((tmp_path / "out" / "labels" / "masks").iterdir())]
    table = pd.read_csv(tmp_path / "out" / "labels" / "manifest.csv")
    (file,) = (tmp_path / "out" / "dicom_seg").iterdir()
    seg = pydicom.dcmread(file)
    assert len(seg.SourceImageSequence) == 2
    assert seg.pixel_array.sum() == np.sum(labels)
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "labelmine pseudo label"
    assert f"teacher_sha256={table['teacher_sha256'][0]}" in algorithm.AlgorithmParameters


def test_another_student_in_the_same_place_is_another_run(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any, refused: Any
) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes((mined.folder / "supervised" / "best.safetensors").read_bytes())
    knobs = {
        "dataset_dir": str(phantom_folder(2) / "images"), "model_dir": str(tmp_path), "device": "cpu",
        "teacher_weights": mined.knobs["teacher_weights"], "output_dir": str(tmp_path / "out"),
    }  # fmt: skip
    run_config("label", **knobs)
    model.write_bytes((mined.folder / "mined" / "best.safetensors").read_bytes())
    with refused(ConfigError, r"other settings \(student_sha256: '\w{64}' then, '\w{64}' now\)"):
        run_config("label", **knobs)


def test_a_gate_that_the_student_s_run_has_not_is_refused(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any, refused: Any
) -> None:
    with refused(ConfigError, r"gate: expected the verdict of the student's run, found no gate.json .*--gate false"):
        run_config(
            "label", dataset_dir=str(phantom_folder(2) / "images"), model_dir=str(mined.folder), gate=True,
            teacher_weights=mined.knobs["teacher_weights"], output_dir=str(tmp_path / "out"), device="cpu",
        )  # fmt: skip
    assert not (tmp_path / "out" / "config.yaml").exists()


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'teacher_weight' \(did you mean 'teacher_weights'\?\)"):
        run_config("label", teacher_weight="compact")
