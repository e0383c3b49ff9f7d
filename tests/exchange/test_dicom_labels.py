"""Labels of DICOM series with who drew and who reviewed them, read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from dicom_makers import write_slices
from labelmine.data import ClassMap, Item, LabelStore, find_items
from labelmine.errors import DataError
from labelmine.exchange.dicom_labels import write_rtstruct, write_segmentations, write_volumes
from labelmine.exchange.label_set import LabelledImage, LabelSet

CLASSES = ClassMap(("lesion", "thing"), (1, 2))


def drawn(number: int) -> np.ndarray:
    mask = np.zeros((2, 24, 32), bool)
    mask[0, 4 + number : 9, 5:20] = mask[1, 12:16, 8:30] = True
    return mask


@pytest.fixture
def label_set(tmp_path: Path) -> Callable[..., LabelSet]:
    """``label_set(sources)``: a series of three slices, whose labels come from there."""
    write_slices(tmp_path / "in")
    items = find_items(tmp_path / "in")
    store = LabelStore(tmp_path / "labels", CLASSES)

    def make(*sources: str, by: str = "expert") -> LabelSet:
        images = []
        for number, (item, source) in enumerate(zip(items, sources, strict=False)):
            path = tmp_path / f"{number}.png"
            Image.fromarray(np.asarray(CLASSES.decode(drawn(number)))).save(path)
            if source == "pseudo":
                weight = np.ones((24, 32), np.float32)
                weight[0] = 0
                store.write(item, drawn(number), {"accepted": True, "student_sha256": "cd" * 32}, weight)
            else:
                item = Item({**item, "label": str(path)})  # type: ignore[typeddict-item]
            reviewed = by if source in ("corrected", "accepted") else ""
            images.append(LabelledImage(item, "train", source, reviewed_by=reviewed))  # type: ignore[arg-type]
        return LabelSet("ct", CLASSES, images, store=store)

    return make


@pytest.mark.parametrize(
    ("sources", "kind"),
    [
        (("gold", "gold", "gold"), "MANUAL"),
        (("pseudo", "pseudo", "pseudo"), "AUTOMATIC"),
        (("accepted", "accepted", "accepted"), "SEMIAUTOMATIC"),
        (("pseudo", "corrected"), "SEMIAUTOMATIC"),  # the third was rejected
    ],
)
def test_who_drew_them_is_said(
    sources: tuple[str, ...], kind: str, label_set: Any, dciodvfy: Any, tmp_path: Path
) -> None:
    labels = label_set(*sources)
    figures = write_segmentations(labels, tmp_path / "seg")
    assert (figures["files"], figures[kind.lower()], figures["refused"]) == (1, 1, {})
    assert figures["pixels_that_abstain"] == 32 * sources.count("pseudo")
    (path,) = (tmp_path / "seg").iterdir()
    seg = hd.seg.segread(path)
    assert [seg.get_segment_description(n).algorithm_type.value for n in (1, 2)] == [kind] * 2
    assert not seg.get("ContentCreatorName")
    instances = [pydicom.dcmread(image.item["image"]).SOPInstanceUID for image in labels.images]
    read = seg.get_pixels_by_source_instance(instances)
    np.testing.assert_array_equal(read, [np.moveaxis(drawn(n), 0, -1) for n in range(len(sources))])
    assert dciodvfy(path) == []

    write_rtstruct(labels, tmp_path / "rt")
    (path,) = (tmp_path / "rt").iterdir()
    structures = pydicom.dcmread(path)
    assert {roi.ROIGenerationAlgorithm for roi in structures.StructureSetROISequence} == {kind}
    assert {str(one.ROIInterpreter) for one in structures.RTROIObservationsSequence} == {""}
    assert structures.ApprovalStatus == "UNAPPROVED"

    write_volumes(labels, tmp_path / "nifti")
    (path,) = (tmp_path / "nifti").iterdir()
    assert nib.load(path).shape == (32, 24, len(sources))
    assert set(np.unique(nib.load(path).dataobj)) == {0, 1, 2}


def test_a_reviewer_is_named_only_where_they_are_to_be(label_set: Any, dciodvfy: Any, tmp_path: Path) -> None:
    found = []
    for by in ("expert", "Ann^Lee"):
        labels = label_set("pseudo", "corrected", "accepted", by=by)
        folder = tmp_path / by[:3]
        write_segmentations(labels, folder / "seg")
        write_rtstruct(labels, folder / "rt")
        (seg,) = (folder / "seg").iterdir()
        (structures,) = (folder / "rt").iterdir()
        assert dciodvfy(seg) == []
        found.append([pydicom.dcmread(seg), pydicom.dcmread(structures)])
    (plain, rt_plain), (named, rt_named) = found
    assert (plain.get("ContentCreatorName"), str(named.ContentCreatorName)) == (None, "Ann Lee^")
    assert rt_plain.RTROIObservationsSequence[0].ROIInterpreter == ""
    assert rt_named.RTROIObservationsSequence[0].ROIInterpreter == "Ann Lee^"
    assert plain.SOPInstanceUID != named.SOPInstanceUID  # what differs is another object


def test_images_of_no_series_are_refused(label_set: Any, tmp_path: Path) -> None:
    labels = label_set("gold")
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(tmp_path / "plain.png")
    (image,) = labels.images
    plain = replace(image, item=Item({**image.item, "image": str(tmp_path / "plain.png")}))
    with pytest.raises(DataError, match="ct: none of its labelled images is of a DICOM series"):
        write_segmentations(replace(labels, images=[plain]), tmp_path / "seg")
