from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import monai.bundle
import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
from monai.bundle import ConfigWorkflow
from PIL import Image

from dicom_makers import write_slices
from labelmine.bundle import bundle_root
from labelmine.data import LabelStore, find_images
from labelmine.errors import ConfigError
from labelmine.exchange.dicom_seg import SegmentationForm
from labelmine.prediction import Predictor
from labelmine.weights import sha256_of
from makers import Killed, metrics_of

METADATA = str(bundle_root() / "configs" / "metadata.json")


def knobs_of(mined: Any, folder: Path) -> dict[str, Any]:
    return {"model_dir": str(mined.folder), "output_dir": str(folder), "device": "cpu"}


@pytest.mark.parametrize("refine", [False, True])
def test_masks_at_the_size_of_the_images(
    mined: Any,
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    refine: bool,
    run_config: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    images = phantom_folder(3, size=48) / "images"
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(images / "wide.png")
    teacher = {"refine": True, "teacher_weights": mined.knobs["teacher_weights"], "min_score": 0.0} if refine else {}
    with caplog.at_level("INFO"):
        run_config("inference", dataset_dir=str(images), **teacher, **knobs_of(mined, tmp_path / "out"))

    assert [message.split(",")[0] for message in caplog.messages if "batch" in message] == ["inference: 1 batch"]
    masks = {path.stem: Image.open(path) for path in (tmp_path / "out" / "masks").iterdir()}
    assert {name: mask.size for name, mask in masks.items()} == {
        "case_00": (48, 48), "case_01": (48, 48), "case_02": (48, 48), "wide": (70, 50),
    }  # fmt: skip
    assert all(set(np.unique(np.asarray(mask))) <= {0, 255} for mask in masks.values())
    table = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert (table["drawn_by"] == ("refined" if refine else "student")).all()


def test_the_student_may_look_eight_times(
    mined: Any, tmp_path: Path, phantom_folder: Callable[..., Path], run_config: Any
) -> None:
    folder = str(phantom_folder(4) / "images")
    for tta in ("false", "true"):
        run_config("inference", dataset_dir=folder, tta=tta, **knobs_of(mined, tmp_path / tta))
    images = find_images(folder, str(tmp_path), class_names=["object"])
    predictor = Predictor.load(mined.folder / "model.safetensors", tta=True)
    masks = {name: [np.asarray(Image.open(path)) > 0 for path in sorted((tmp_path / name / "masks").iterdir())]
             for name in ("false", "true")}  # fmt: skip
    averaged = [mask.any(0) for _, mask in predictor.masks(images.items, images)]
    assert all(np.array_equal(*pair) for pair in zip(masks["true"], averaged, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(masks["true"], masks["false"], strict=True))


def test_uncertainty_lies_beside_the_same_masks(
    mined: Any,
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    run_config: Any,
    refused: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = str(phantom_folder(3, size=48) / "images")
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(mined.folder / "model.safetensors", own)
    for name, given in (("plain", False), ("unsure", True)):
        run_config("inference", dataset_dir=folder, uncertainty=given, **knobs_of(mined, tmp_path / name))
    with caplog.at_level("WARNING"):
        run_config(
            "inference",
            dataset_dir=folder,
            uncertainty=True,
            **{**knobs_of(mined, tmp_path / "raw"), "model_dir": str(own)},
        )
    assert "no pixel_calibration.json in own" in caplog.text

    calibration = json.loads((mined.folder / "pixel_calibration.json").read_text())
    assert metrics_of(mined.folder)["pixel_calibration"]["error"] == calibration["error"]
    assert not (tmp_path / "plain" / "uncertainty").exists()
    rows = pd.read_csv(tmp_path / "unsure" / "manifest.csv")
    assert rows["expected_dice"].between(0, 1).all()
    for name in rows["id"]:
        masks = [np.asarray(Image.open(tmp_path / run / "masks" / f"{name}.png")) for run in ("plain", "unsure")]
        assert np.array_equal(*masks)
        maps = {kind: np.asarray(Image.open(tmp_path / "unsure" / "uncertainty" / kind / f"{name}.png")) / 255
                for kind in ("wrong", "spread", "probability")}  # fmt: skip
        wrong = np.where(masks[0] > 0, 1 - maps["probability"], maps["probability"])
        assert maps["wrong"] == pytest.approx(wrong, abs=2 / 255)
        assert 0 < maps["spread"].max() <= 0.5
    page = (tmp_path / "unsure" / "report" / "index.html").read_text()
    assert f"calibrated on {calibration['n_groups']} images" in page
    assert "no gold was there to calibrate" in (tmp_path / "raw" / "report" / "index.html").read_text()

    calibration["student_sha256"] = "0" * 64
    (own / "pixel_calibration.json").write_text(json.dumps(calibration))
    with refused(ConfigError, "own/pixel_calibration.json: expected the calibration of model.safetensors beside it"):
        run_config(
            "inference",
            dataset_dir=folder,
            uncertainty=True,
            **{**knobs_of(mined, tmp_path / "x"), "model_dir": str(own)},
        )


def test_phantoms_by_default_and_a_second_run_has_nothing_to_do(
    mined: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_config: Any
) -> None:
    def forbidden(*_: Any) -> None:
        raise AssertionError("predicted again")

    run_config("inference", **knobs_of(mined, tmp_path))
    assert len(list((tmp_path / "masks").iterdir())) == 12
    monkeypatch.setattr(LabelStore, "write", forbidden)
    run_config("inference", **knobs_of(mined, tmp_path))


def test_a_volume_comes_back_as_a_volume(mined: Any, tmp_path: Path, run_config: Any) -> None:
    affine = np.diag([0.5, 0.5, 3.0, 1.0])
    volume = np.random.default_rng(0).integers(0, 900, (40, 36, 3), dtype=np.int16)
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(volume, affine), tmp_path / "in" / "scan.nii.gz")
    run_config("inference", dataset_dir=str(tmp_path / "in"), **knobs_of(mined, tmp_path / "out"))
    mask = nib.load(tmp_path / "out" / "masks" / "scan.nii.gz")
    assert mask.shape == volume.shape
    assert np.array_equal(mask.affine, affine)


def test_a_dicom_series_leaves_as_a_segmentation(
    mined: Any, tmp_path: Path, run_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed while the segmentation is written; what it began is gone on with, and gold is no obstacle."""
    paths = write_slices(tmp_path / "in", 2, size=(40, 48))
    knobs = {"dataset_dir": str(tmp_path / "in"), **knobs_of(mined, tmp_path / "out")}
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationForm, "build", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run_config("inference", **knobs)
    masks = [np.asarray(Image.open(path)) > 0 for path in sorted((tmp_path / "out" / "masks").iterdir())]
    run_config("inference", **knobs)
    (file,) = (tmp_path / "out" / "dicom_seg").iterdir()
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    assert file.name == f"{headers[0].SeriesInstanceUID}.dcm"
    seg = hd.seg.segread(file)
    found = seg.get_pixels_by_source_instance([header.SOPInstanceUID for header in headers])
    np.testing.assert_array_equal(found[..., 0], masks)
    assert (
        sha256_of(mined.folder / "model.safetensors")
        in seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    )
    assert metrics_of(tmp_path / "out")["files"] == {"DICOM SEG": 1}

    # Masks of other classes beside the images are nobody's business here.
    shutil.copy(file, tmp_path / "in")
    changed = pydicom.dcmread(tmp_path / "in" / file.name)
    changed.SegmentSequence[0].SegmentLabel = "Liver"
    changed.save_as(tmp_path / "in" / file.name)
    alone = {**knobs, "output_dir": str(tmp_path / "alone"), "masks_format": "dicom_seg", "fractional": True}
    run_config("inference", **alone, rt_structures=True, deidentify=True)
    made = sorted(
        path.relative_to(tmp_path / "alone").parts[0]
        for path in (tmp_path / "alone").rglob("*.*")
        if path.suffix in (".dcm", ".png")
    )
    assert made == ["dicom_seg", "rt_structures"]
    assert pydicom.dcmread(next((tmp_path / "alone" / "dicom_seg").iterdir())).PatientIdentityRemoved == "YES"


def test_without_highdicom_dicom_images_have_png_masks_and_the_command_is_said(
    mined: Any, tmp_path: Path, run_config: Any, refused: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    write_slices(tmp_path / "in", 1)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    knobs = {"dataset_dir": str(tmp_path / "in"), **knobs_of(mined, tmp_path / "out")}
    with refused(ConfigError, 'needs highdicom, which is not there: pip install "labelmine'):
        run_config("inference", **knobs, masks_format="dicom_seg")
    assert not (tmp_path / "out" / "masks").exists()
    with caplog.at_level("INFO"):
        run_config("inference", **knobs)
    assert caplog.text.count('for DICOM SEG beside them: pip install "labelmine[dicom]"') == 1
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["slice_0.png"]
    assert not (tmp_path / "out" / "dicom_seg").exists()


def test_terms_of_a_class_that_is_not_there_are_refused_before_anything_is_predicted(
    mined: Any, tmp_path: Path, run_config: Any, refused: Any
) -> None:
    with refused(ConfigError, "segments: the masks have no class liver; they have"):
        run_config("inference", segments={"liver": {"type": [1, "SCT", "Liver"]}}, **knobs_of(mined, tmp_path))


@pytest.mark.shared
def test_real_dicom_files(mined: Any, tmp_path: Path, shared_data: Path, run_config: Any) -> None:
    run_config("inference", dataset_dir=str(shared_data / "dicom"), **knobs_of(mined, tmp_path))
    masks = {path.stem: Image.open(path).size for path in (tmp_path / "masks").iterdir()}
    assert set(masks) == {"01", "02", "03", "RG1_J2KI", "US1_UNCI"}
    assert masks["01"] == (512, 512)


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'dataset_di' \(did you mean 'dataset_dir'\?\)"):
        run_config("inference", dataset_di="somewhere")


def test_it_has_what_monai_expects_of_an_inference_workflow(mined: Any, tmp_path: Path, config_files: Any) -> None:
    workflow = ConfigWorkflow(
        config_files("inference"), METADATA, logging_file=False, workflow_type="inference", **knobs_of(mined, tmp_path)
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_network_fits_the_metadata(mined: Any, tmp_path: Path, config_files: Any) -> None:
    monai.bundle.verify_net_in_out(
        "network_def",
        METADATA,
        config_files("inference"),
        device="cpu",
        n=2,
        model_dir=str(mined.folder),
        output_dir=str(tmp_path),
    )
