"""The whole loop against a real PACS: images up, fetched, segmented, stored, found, fetched again, equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from labelmine.bundle import bundle_root
from labelmine.errors import PacsError
from labelmine.networks import Student
from labelmine.pacs import Pacs, Stored, fetch_study, store_files
from pacs_makers import PASSWORD, USER

pytestmark = pytest.mark.orthanc


@pytest.fixture
def pacs(orthanc: str, monkeypatch: pytest.MonkeyPatch) -> Pacs:
    monkeypatch.setenv("LABELMINE_DICOMWEB_USER", USER)
    monkeypatch.setenv("LABELMINE_DICOMWEB_PASSWORD", PASSWORD)
    return Pacs(orthanc)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that has learnt nothing, but does not see nothing."""
    torch.manual_seed(1)
    student, folder = Student(["lesion"], "mobilenet_v2"), tmp_path_factory.mktemp("model")
    student.save(folder / "model.safetensors", image_size=64)
    return folder


def segmentations(pacs: Pacs, study: str) -> list[pydicom.Dataset]:
    rows = pacs.client.search_for_instances(study, search_filters={"Modality": "SEG"})
    found = [pydicom.Dataset.from_json(row) for row in rows]
    return [pacs.client.retrieve_instance(study, str(row.SeriesInstanceUID), str(row.SOPInstanceUID)) for row in found]


def test_images_come_as_they_went_and_neither_way_twice(
    pacs: Pacs, ct_series: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [pydicom.dcmread(path) for path in ct_series]
    study = str(sent[0].StudyInstanceUID)
    assert store_files(pacs, ct_series[:2]) == Stored(stored=2, present=0)
    assert store_files(pacs, ct_series) == Stored(stored=1, present=2)

    paths = fetch_study(pacs, study, tmp_path)
    fetched = [pydicom.dcmread(path) for path in paths]
    assert [image.InstanceNumber for image in fetched] == [1, 2, 3]
    for before, after in zip(sent, fetched, strict=True):
        assert before.SOPInstanceUID == after.SOPInstanceUID
        assert np.array_equal(before.pixel_array, after.pixel_array)
        assert before.file_meta.TransferSyntaxUID == after.file_meta.TransferSyntaxUID

    asked: list[Any] = []
    paths[1].unlink()
    retrieve = pacs.client.retrieve_instance
    monkeypatch.setattr(pacs.client, "retrieve_instance", lambda *uids: asked.append(uids) or retrieve(*uids))
    assert fetch_study(pacs, study, tmp_path) == paths
    assert [uids[2] for uids in asked] == [sent[1].SOPInstanceUID]


def test_predict_fetches_a_study_and_stores_its_segmentation_once(
    pacs: Pacs, ct_series: list[Path], model_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, orthanc: str
) -> None:
    store_files(pacs, ct_series)
    study = str(pydicom.dcmread(ct_series[0]).StudyInstanceUID)

    def predict(folder: str) -> dict[str, Any]:
        config = [str(bundle_root() / "configs" / "inference.yaml")]
        knobs = {
            "dicomweb": orthanc,
            "study": study,
            "store": True,
            "rt_structures": True,
            "model_dir": str(model_dir),
            "device": "cpu",
        }
        with caplog.at_level("DEBUG"):
            monai.bundle.run(config_file=config, logging_file=False, output_dir=str(tmp_path / folder), **knobs)
        metrics: dict[str, Any] = json.loads((tmp_path / folder / "metrics.json").read_text())
        return metrics["pacs"]

    assert predict("a") == {"stored": 2, "present": 0}  # a DICOM SEG and an RT Structure Set
    (stored,) = segmentations(pacs, study)
    (written,) = (pydicom.dcmread(path) for path in (tmp_path / "a" / "dicom_seg").iterdir())
    assert stored.SOPInstanceUID == written.SOPInstanceUID
    assert stored.PatientName == "Musterfrau^Anna"
    assert np.array_equal(stored.pixel_array, written.pixel_array)
    masks = sorted((tmp_path / "a" / "masks").rglob("*.png"))
    drawn = np.stack([np.asarray(Image.open(path)) > 0 for path in masks])
    assert drawn.any()
    assert sorted(map(_count, stored.pixel_array)) == sorted(_count(mask) for mask in drawn if mask.any())

    # The same run again, and another one: its segmentation is neither stored again nor fetched as gold.
    assert predict("a") == {"stored": 0, "present": 2}
    assert predict("b") == {"stored": 0, "present": 2}
    assert len(segmentations(pacs, study)) == 1
    assert len(list((tmp_path / "b" / "fetched").rglob("*.dcm"))) == 3

    names = " ".join(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    text = " ".join(
        path.read_text() for path in tmp_path.rglob("*") if path.suffix in {".json", ".jsonl", ".csv", ".yaml"}
    )
    for said in (names, text, caplog.text):
        assert not any(secret in said for secret in ("Musterfrau", "Anna", "4711", PASSWORD))


def _count(mask: np.ndarray) -> int:
    return int(mask.sum())


def test_a_wrong_password_is_said_without_it(
    orthanc: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LABELMINE_DICOMWEB_USER", USER)
    monkeypatch.setenv("LABELMINE_DICOMWEB_PASSWORD", "wrong-sesame")
    with caplog.at_level("DEBUG"), pytest.raises(PacsError, match=r"look for series: wrong credentials") as caught:
        fetch_study(Pacs(orthanc), "1.2.3", tmp_path)
    assert "sesame" not in f"{caught.value}{caplog.text}"


def test_a_study_that_is_not_there(pacs: Pacs, tmp_path: Path) -> None:
    with pytest.raises(PacsError, match="expected the Study Instance UID of a study there, found none"):
        fetch_study(pacs, "1.2.3", tmp_path)
