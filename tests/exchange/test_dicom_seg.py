"""DICOM SEG, read back by highdicom, by our own reader and, where it is there, by dciodvfy."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_makers import write_clip, write_dicom, write_slices
from labelmine.data import find_items
from labelmine.errors import ConfigError
from labelmine.exchange import Algorithm
from labelmine.exchange.dicom_seg import require_highdicom
from labelmine.exchange.dicom_stacks import stacks_of
from labelmine.exchange.identity import Pseudonym


def written(form: Any, stack: Any, masks: Any) -> tuple[Path, Any]:
    path = form.path(stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(form.build(stack, masks))
    return path, hd.seg.segread(path)


@pytest.fixture
def series(tmp_path: Path, the_stack: Any) -> Any:
    write_slices(tmp_path / "images")
    return the_stack(tmp_path / "images")


def test_masks_of_a_series(series: Any, form: Any, masks_of: Any, gold_in: Any, dciodvfy: Any, tmp_path: Path) -> None:
    masks = masks_of(series)
    made = form(tmp_path / "seg")
    path, seg = written(made, series, masks)
    assert path.name == f"{series.series}.dcm"
    assert dciodvfy(path) == []
    found = seg.get_pixels_by_source_instance([frame.instance for frame in series.frames])
    np.testing.assert_array_equal(found, masks)
    # Two classes in two of three slices, each where its slice is.
    places = [
        tuple(group.PlanePositionSequence[0].ImagePositionPatient) for group in seg.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(set(places)) == sorted(tuple(frame.header.ImagePositionPatient) for frame in series.frames[:2])
    gold = gold_in(tmp_path)
    for frame, mask in zip(series.frames, masks, strict=True):
        np.testing.assert_array_equal(gold[frame.item["id"]], mask)
    assert made.is_current(series)


def test_patient_study_and_origin_are_said(series: Any, form: Any, masks_of: Any, tmp_path: Path) -> None:
    terms = {"thing": {"type": [10200004, "SCT", "Liver"], "anatomy": ["818981001", "SCT", "Abdomen"]}}
    _, seg = written(form(tmp_path, segments=terms), series, masks_of(series))
    source = series.frames[0].header
    patient = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "ReferringPhysicianName")
    study = ("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "FrameOfReferenceUID")
    for name in (*patient, *study):
        assert str(seg[name].value) == str(source[name].value), name
    assert (seg.SeriesNumber, seg.Modality, seg.ContentLabel) == (1003, "SEG", "LABELMINE")
    lesion, thing = seg.SegmentSequence
    assert lesion.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    assert thing.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    assert thing.AnatomicRegionSequence[0].CodeMeaning == "Abdomen"
    algorithm = lesion.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("labelmine student", seg.SoftwareVersions)
    assert "weights_sha256=" + "ab" * 32 in algorithm.AlgorithmParameters
    assert lesion.TrackingUID != thing.TrackingUID
    assert lesion.TrackingID == "labelmine lesion"


def test_the_same_masks_are_the_same_object(series: Any, form: Any, masks_of: Any, tmp_path: Path) -> None:
    masks = masks_of(series)
    other = masks.copy()
    other[0, 0, 0, 0] = True
    made = [written(form(tmp_path), series, one)[1] for one in (masks, masks, other)]
    made.append(written(form(tmp_path, algorithm=Algorithm("labelmine student", "cd" * 32)), series, masks)[1])
    assert [len({str(seg[name].value) for seg in made}) for name in ("SOPInstanceUID", "SeriesInstanceUID")] == [3, 2]
    assert made[0].SOPInstanceUID == made[1].SOPInstanceUID


def test_probabilities(series: Any, form: Any, dciodvfy: Any, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).random((3, 24, 32, 2)).astype(np.float32)
    path, seg = written(form(tmp_path, fractional=True), series, levels)
    assert dciodvfy(path) == []
    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    found = seg.get_pixels_by_source_instance([frame.instance for frame in series.frames])
    np.testing.assert_allclose(found, levels, atol=0.5 / 255 + 1e-6)


def test_frames_of_a_clip(
    form: Any, the_stack: Any, masks_of: Any, gold_in: Any, dciodvfy: Any, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clip.dcm", PatientOrientation="")
    stack = the_stack(tmp_path)
    masks = masks_of(stack)
    masks[1] = False  # left out, so that frames of the segmentation are not those of the clip
    path, seg = written(form(tmp_path / "seg"), stack, masks)
    assert dciodvfy(path) == []
    found = seg.get_pixels_by_source_frame(stack.frames[0].instance, [1, 2, 3])
    np.testing.assert_array_equal(found, masks[:3])
    assert "FrameOfReferenceUID" not in seg
    source = seg.PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[0].SourceImageSequence[0]
    assert (source.ReferencedFrameNumber, source.ReferencedSOPClassUID) == (3, stack.frames[0].header.SOPClassUID)
    gold = gold_in(tmp_path)
    for frame, mask in zip(stack.frames, masks, strict=True):
        np.testing.assert_array_equal(gold[frame.item["id"]], mask)


def test_stacks_of_an_enhanced_image(form: Any, masks_of: Any, gold_in: Any, dciodvfy: Any, tmp_path: Path) -> None:
    """Frames 1 and 3 lie at one place, frames 2 and 4 at another: two phases, each a segmentation."""
    groups = []
    for depth in (0.0, 3.0, 0.0, 3.0):
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = [1, 2, depth]
        group.PlanePositionSequence = [place]
        groups.append(group)
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.7], 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    write_clip(
        tmp_path / "mr.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1", FrameOfReferenceUID="1.2.3", Modality="MR",
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=groups,
    )  # fmt: skip
    first, second = stacks_of(find_items(tmp_path))
    assert [[frame.number for frame in stack.frames] for stack in (first, second)] == [[1, 2], [3, 4]]
    expected = {}
    for stack in (first, second):
        masks = np.ones_like(masks_of(stack))
        masks[:, : 3 + stack.number] = masks[1, :10] = False
        path, seg = written(form(tmp_path / "seg"), stack, masks)
        assert path.name == f"{stack.series}_{stack.number}.dcm"
        assert dciodvfy(path) == []
        expected |= {frame.item["id"]: mask for frame, mask in zip(stack.frames, masks, strict=True)}
        assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 3
    assert {seg.SeriesInstanceUID for seg in map(pydicom.dcmread, (tmp_path / "seg").iterdir())} == {
        seg.SeriesInstanceUID
    }
    gold = gold_in(tmp_path)
    assert all(np.array_equal(gold[name], mask) for name, mask in expected.items())


@pytest.mark.parametrize(
    "tags",
    [
        {"SpecificCharacterSet": ""},
        {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
        {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Ä"},
        {"PatientSex": "female", "StudyDate": "2020.01.01", "StudyTime": "10:10:10", "PatientBirthDate": "19991399"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6"},  # Ultrasound Image Storage (Retired)
        {"SeriesNumber": "", "SliceThickness": ..., "AccessionNumber": ..., "PatientID": "x" * 70},
    ],
)
def test_odd_attributes(
    tags: dict[str, Any],
    form: Any,
    the_stack: Any,
    masks_of: Any,
    dciodvfy: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    with pydicom.config.disable_value_validation():
        write_slices(tmp_path, **tags)
        stack = the_stack(tmp_path)
    recwarn.clear()
    with caplog.at_level(logging.DEBUG):
        path, seg = written(form(tmp_path / "seg"), stack, masks_of(stack))
    assert [error for error in dciodvfy(path) if "PatientID" not in error] == []
    assert not recwarn.list
    assert str(stack.frames[0].header.PatientName) == str(seg.PatientName)
    assert "StudyDate" not in tags or (seg.StudyDate, seg.StudyTime) == ("20200101", "101010")
    assert seg.SourceImageSequence[0].ReferencedSOPClassUID == stack.frames[0].header.SOPClassUID
    assert "Doe" not in caplog.text


def test_an_image_without_a_place(form: Any, the_stack: Any, masks_of: Any, dciodvfy: Any, tmp_path: Path) -> None:
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
    write_dicom(tmp_path / "cr.dcm", np.zeros((24, 32), np.uint8), PatientOrientation=["L", "F"], **uids)
    stack = the_stack(tmp_path)
    path, seg = written(form(tmp_path / "seg"), stack, masks_of(stack))
    assert dciodvfy(path) == []
    assert "FrameOfReferenceUID" not in seg
    assert list(seg.PatientOrientation) == ["L", "F"]
    np.testing.assert_array_equal(seg.get_pixels_by_source_instance([stack.frames[0].instance]), masks_of(stack))


def test_nothing_of_the_patient_is_left(series: Any, form: Any, masks_of: Any, dciodvfy: Any, tmp_path: Path) -> None:
    masks = masks_of(series)
    pseudonym = Pseudonym.kept_in(tmp_path / "pseudonym.key")
    assert (tmp_path / "pseudonym.key").stat().st_mode & 0o777 == 0o600
    made = form(tmp_path / "seg", identity=pseudonym)
    path, seg = written(made, series, masks)
    assert dciodvfy(path) == []
    source, content = series.frames[0].header, path.read_bytes()
    told = [element for element in source if element.VR in ("PN", "LO", "SH", "UI", "DA", "TM") and element.value]
    assert len(told) > 12
    known = ("SOPClassUID", "PatientSex")
    assert [one.keyword for one in told if str(one.value).encode() in content and one.keyword not in known] == []
    assert (seg.PatientIdentityRemoved, seg.StudyDate, seg.PatientSex) == ("YES", "", "")
    assert series.series not in path.name
    # One run keeps what belongs together; another key tells nothing of it.
    again, other = Pseudonym.kept_in(tmp_path / "pseudonym.key"), Pseudonym(b"other")
    assert form(tmp_path / "seg", identity=again).is_current(series)
    assert not form(tmp_path / "seg", identity=other).is_current(series)
    np.testing.assert_array_equal(
        seg.get_pixels_by_source_instance([again.uid(frame.instance) for frame in series.frames]), masks
    )


def test_missing_highdicom_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(
        ConfigError, match=r'DICOM SEG needs highdicom, which is not there: pip install "labelmine\[dicom\]"'
    ):
        require_highdicom()
