"""Gold in DICOM Segmentations and RT Structure Sets, made by highdicom and by hand, and read back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import RTStructureSetStorage, generate_uid

from dicom_makers import write_dicom
from labelmine.data import ClassMap, Item, LoadItem, check_items, find_items, read_label
from labelmine.data.dicom_gold import dicom_gold_classes, is_dicom_gold, label_by_dicom_gold, read_dicom_label
from labelmine.data.dicom_seg import FRACTIONAL
from labelmine.data.findings import Findings
from labelmine.data.rt_structures import HOLES, NO_AREAS
from labelmine.errors import ConfigError, DataError

SIZE = (24, 32)
ORIENTATION = [0.8, 0.6, 0.0, 0.0, 0.0, -1.0]  # oblique
SPACING = [0.5, 0.75]
ORIGIN = np.array([10.0, 20.0, 30.0])
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])


def write_series(folder: Path, count: int = 3, names: Any = None, patient: str = "p") -> list[Path]:
    """A CT series of noise; the first slice is the lowest, whatever its name."""
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 4000, SIZE, dtype=np.uint16)
        name = names[index] if names else f"slice_{index}"
        path = write_dicom(
            folder / f"{name}.dcm", pixels, bits=12, PatientID=patient, PatientName="", PatientBirthDate="",
            PatientSex="", StudyDate="", StudyTime="", StudyID="", AccessionNumber="", ReferringPhysicianName="",
            Modality="CT", SeriesNumber=1, InstanceNumber=index + 1, SeriesInstanceUID=series, StudyInstanceUID=study,
            FrameOfReferenceUID=frame, ImagePositionPatient=(ORIGIN + 2.0 * index * NORMAL).round(6).tolist(),
            ImageOrientationPatient=ORIENTATION, PixelSpacing=SPACING, SliceThickness=2, PositionReferenceIndicator="",
        )  # fmt: skip
        paths.append(path)
    return paths


def draw_masks(count: int, segments: int = 2) -> NDArray[np.uint8]:
    """(count, H, W, segments): rectangles that overlap; the last slice is empty."""
    masks = np.zeros((count, *SIZE, segments), np.uint8)
    for index in range(count - 1):
        for segment in range(segments):
            masks[index, 3 + index : 12, 4 + 6 * segment : 16 + 6 * segment, segment] = 1
    return masks


def write_seg(
    path: Path, images: list[Path], masks: NDArray[Any], names: tuple[str, ...] = ("Liver", "Tumour"), **options: Any
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    described = [
        hd.seg.SegmentDescription(
            segment_number=number, segment_label=name, segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver, algorithm_type="MANUAL",
        )
        for number, name in enumerate(names, start=1)
    ]  # fmt: skip
    kind = options.pop("segmentation_type", "BINARY")
    hd.seg.Segmentation(
        source_images=[pydicom.dcmread(image) for image in images], pixel_array=masks, segmentation_type=kind,
        segment_descriptions=described, series_instance_uid=generate_uid(), series_number=9,
        sop_instance_uid=generate_uid(), instance_number=1, manufacturer="m", manufacturer_model_name="m",
        software_versions="1", device_serial_number="1", **options,
    ).save_as(path)  # fmt: skip
    return path


def contour(image: Path | None, points: list[tuple[float, float]], kind: str = "CLOSED_PLANAR") -> Dataset:
    """Contour of (row, column) points of an image's first slice, or, without an image, of that at depth 0."""
    item = Dataset()
    position = np.array([10.0, 20.0, 30.0])
    if image is not None:
        dataset = pydicom.dcmread(image, stop_before_pixels=True)
        position = np.array(dataset.ImagePositionPatient, dtype=float)
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
            dataset.SOPClassUID,
            dataset.SOPInstanceUID,
        )
        item.ContourImageSequence = [reference]
    along_row, along_column = np.array(ORIENTATION[:3]), np.array(ORIENTATION[3:])
    places = [position + row * SPACING[0] * along_column + column * SPACING[1] * along_row for row, column in points]
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points)
    item.ContourData = [f"{value:.6f}" for place in places for value in place]
    return item


def write_structures(path: Path, images: list[Path], rois: dict[str, list[Dataset]], instances: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.SOPClassUID, dataset.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    first = pydicom.dcmread(images[0], stop_before_pixels=True)
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = []
    for image in images if instances else []:
        reference = Dataset()
        reference.ReferencedSOPInstanceUID = pydicom.dcmread(image, stop_before_pixels=True).SOPInstanceUID
        series.ContourImageSequence.append(reference)
    study.RTReferencedSeriesSequence = [series]
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = number, contours
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


def square(top: float, left: float, bottom: float, right: float) -> list[tuple[float, float]]:
    return [(top, left), (top, right), (bottom, right), (bottom, left)]


def items_of(paths: list[Path]) -> list[Item]:
    return [Item(id=path.stem, image=str(path), group=path.stem) for path in paths]


def labels(folder: Path, classes: ClassMap | None = None) -> dict[str, NDArray[np.uint8]]:
    """Gold of each image of a folder, through the whole way."""
    items = find_items(folder)
    found = classes or dicom_gold_classes(items, None, Findings())
    assert found is not None
    return {item["id"]: read_label(item, item["label"], found) for item in items if "label" in item}


# --- segmentations ---


@pytest.mark.parametrize("place", ["seg.dcm", "images/seg.dcm", "masks/seg", "elsewhere/deep/1.2.3"])
def test_segmentation_in_any_folder(tmp_path: Path, place: str) -> None:
    images, masks = write_series(tmp_path / "images"), draw_masks(3)
    write_seg(tmp_path / place, images, masks)
    found = labels(tmp_path)
    assert list(found) == ["slice_0", "slice_1", "slice_2"]  # the last one is empty gold, not unlabelled
    np.testing.assert_array_equal(np.stack(list(found.values())), masks.transpose(0, 3, 1, 2))


def test_check_and_load_keep_overlaps(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images, masks = write_series(tmp_path), draw_masks(3)
    write_seg(tmp_path / "seg.dcm", images, masks)
    with caplog.at_level(logging.INFO):
        checked = check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert checked.classes == ClassMap(("Liver", "Tumour"), (1, 2))
    assert (checked.set_aside, checked.n_empty_masks) == ([], 1)
    assert "seg.dcm labels 3 images: Liver, Tumour" in caplog.text
    loaded = LoadItem(checked.classes)(checked.items[0])
    np.testing.assert_array_equal(loaded["label"].numpy(), masks[0].transpose(2, 0, 1))
    assert (masks[0].sum(-1) > 1).any()


def test_several_segmentations_of_an_image_are_united(tmp_path: Path) -> None:
    images, masks = write_series(tmp_path), draw_masks(3)
    write_seg(tmp_path / "a.dcm", images, masks[..., :1], ("Liver",))
    write_seg(tmp_path / "b.dcm", images[:2], masks[:2, ..., 1:], ("LIVER",))
    write_seg(tmp_path / "c.dcm", images[:1], masks[:1, ..., 1:], ("Tumour",))
    items = find_items(tmp_path)
    assert [len(item.get("label_parts", [])) for item in items] == [3, 2, 0]
    classes = dicom_gold_classes(items, None, Findings())
    assert classes == ClassMap(("Liver", "Tumour"), (1, 2))
    first = read_label(items[0], items[0]["label"], classes)
    np.testing.assert_array_equal(first, np.stack([masks[0].any(-1), masks[0, ..., 1]]))


def test_fractional_segmentation_is_cut_at_half(tmp_path: Path) -> None:
    images = write_series(tmp_path)
    soft = np.linspace(0, 1, 3 * SIZE[0] * SIZE[1]).reshape(3, *SIZE)
    write_seg(tmp_path / "seg.dcm", images, soft, ("Liver",), segmentation_type="FRACTIONAL", max_fractional_value=200)
    findings, items = Findings(), find_items(tmp_path)
    classes = dicom_gold_classes(items, None, findings)
    assert classes == ClassMap(("Liver",))
    assert FRACTIONAL in [row.sentence for row in findings.rows()]
    for item, mask in zip(items, soft, strict=True):
        np.testing.assert_array_equal(read_label(item, item["label"], classes)[0], np.rint(mask * 200) >= 100)


def test_label_map_segmentation(tmp_path: Path) -> None:
    images = write_series(tmp_path)
    values = draw_masks(3).argmax(-1).astype(np.uint8) + draw_masks(3).any(-1)
    write_seg(tmp_path / "seg.dcm", images, values.astype(np.uint8), segmentation_type="LABELMAP")
    for read, expected in zip(labels(tmp_path).values(), values, strict=True):
        np.testing.assert_array_equal(read, np.stack([expected == 1, expected == 2]))


def test_segmentation_of_a_multi_frame_image(tmp_path: Path) -> None:
    """Frames that are referred to in another order than they are stored in."""
    series, masks = write_series(tmp_path / "series"), draw_masks(3)
    clip = write_dicom(tmp_path / "set/clip.dcm", np.zeros((3, *SIZE), np.uint16), NumberOfFrames=3)
    path = write_seg(tmp_path / "set/seg.dcm", series, masks)
    dataset, uid = pydicom.dcmread(path), pydicom.dcmread(clip).SOPInstanceUID
    frames = {pydicom.dcmread(image).SOPInstanceUID: 3 - number for number, image in enumerate(series)}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        source.ReferencedFrameNumber = frames[source.ReferencedSOPInstanceUID]
        source.ReferencedSOPInstanceUID = uid
    del dataset.ReferencedSeriesSequence
    dataset.save_as(path)
    found = labels(tmp_path / "set")
    assert list(found) == ["clip_frame0000", "clip_frame0001", "clip_frame0002"]
    np.testing.assert_array_equal(np.stack(list(found.values())), masks[::-1].transpose(0, 3, 1, 2))


def test_segmentation_without_references_is_placed_by_position(tmp_path: Path) -> None:
    images, masks = write_series(tmp_path), draw_masks(3)
    path = write_seg(tmp_path / "seg.dcm", images, masks)
    dataset = pydicom.dcmread(path)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    del dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    dataset.save_as(path)
    np.testing.assert_array_equal(np.stack(list(labels(tmp_path).values())), masks.transpose(0, 3, 1, 2))


def test_segmentation_of_another_grid_is_refused(tmp_path: Path) -> None:
    images, masks = write_series(tmp_path / "images"), draw_masks(3)
    path = write_seg(tmp_path / "seg.dcm", images, masks)
    dataset = pydicom.dcmread(path)
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [1, 1]
    dataset.save_as(path)
    with pytest.raises(DataError, match=r"seg.dcm: segmentation lies elsewhere than the image that it refers to"):
        read_dicom_label(items_of(images)[0], path, ClassMap())
    cropped = write_seg(tmp_path / "seg.dcm", images, masks)
    dataset = pydicom.dcmread(images[0])
    dataset.Rows, dataset.PixelData = 12, dataset.PixelData[: 12 * SIZE[1] * 2]
    dataset.save_as(images[0])
    with pytest.raises(DataError, match=r"seg.dcm: segmentation is 32 x 24 pixels, its image 32 x 12"):
        read_dicom_label(items_of(images)[0], cropped, ClassMap())


# --- structure sets ---


def test_contours_become_masks_of_their_images(tmp_path: Path) -> None:
    images = write_series(tmp_path / "ct")
    rois = {
        "Liver": [contour(images[0], square(2.5, 3.5, 10.5, 20.5)), contour(images[1], square(4.5, 3.5, 9.5, 8.5))],
        "Cyst": [contour(images[0], square(3.5, 4.5, 6.5, 7.5))],
    }
    write_structures(tmp_path / "plan/rs.dcm", images, rois)
    found = labels(tmp_path)
    expected = np.zeros((3, 2, *SIZE), np.uint8)
    expected[0, 0, 3:11, 4:21] = expected[1, 0, 5:10, 4:9] = expected[0, 1, 4:7, 5:8] = 1
    np.testing.assert_array_equal(np.stack([found[f"ct/slice_{index}"] for index in range(3)]), expected)


def test_a_disc_has_its_area(tmp_path: Path) -> None:
    images = write_series(tmp_path, 1)
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    disc = [(12 + 8.3 * np.sin(a), 15 + 8.3 * np.cos(a)) for a in angles]
    write_structures(tmp_path / "rs.dcm", images, {"disc": [contour(images[0], disc)]})
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    expected = (rows - 12) ** 2 + (columns - 15) ** 2 <= 8.3**2
    assert (labels(tmp_path)["slice_0"][0] != expected).sum() <= 2


def test_holes_islands_and_neighbours(tmp_path: Path) -> None:
    images = write_series(tmp_path, 1)
    outer, hole, island = square(1.5, 1.5, 18.5, 18.5), square(4.5, 4.5, 14.5, 14.5), square(7.5, 7.5, 9.5, 9.5)
    beside = square(1.5, 18.5, 18.5, 22.5)  # shares an edge
    drawn = [contour(images[0], points) for points in (island, outer, beside, hole)]
    write_structures(tmp_path / "rs.dcm", images, {"organ": drawn})
    expected = np.zeros(SIZE, bool)
    expected[2:19, 2:23] = True
    expected[5:15, 5:15] = False
    expected[8:10, 8:10] = True
    np.testing.assert_array_equal(labels(tmp_path)["slice_0"][0], expected)


def test_contours_without_images_lie_where_their_points_are(tmp_path: Path) -> None:
    images = write_series(tmp_path)
    write_structures(tmp_path / "rs.dcm", images, {"a": [contour(None, square(2.5, 2.5, 6.5, 6.5))]}, instances=False)
    assert [int(mask.sum()) for mask in labels(tmp_path).values()] == [16, 0, 0]


def test_points_and_open_contours_are_passed_over_and_named(tmp_path: Path) -> None:
    images = write_series(tmp_path, 1)
    closed, opened = (
        contour(images[0], square(2.5, 2.5, 6.5, 6.5)),
        contour(images[0], square(1, 1, 9, 9), "OPEN_PLANAR"),
    )
    write_structures(
        tmp_path / "rs.dcm", images, {"a": [closed], "marker": [contour(images[0], [(1, 1)], "POINT"), opened]}
    )
    findings, items = Findings(), find_items(tmp_path)
    assert dicom_gold_classes(items, None, findings) == ClassMap(("a",))
    assert {HOLES, NO_AREAS} < {row.sentence for row in findings.rows()}
    assert read_label(items[0], items[0]["label"], ClassMap()).sum() == 16


def test_structures_of_an_image_without_position(tmp_path: Path) -> None:
    images = write_series(tmp_path, 1)
    path = write_structures(tmp_path / "rs.dcm", images, {"a": [contour(images[0], square(2, 2, 6, 6))]})
    dataset = pydicom.dcmread(images[0])
    del dataset.PixelSpacing
    dataset.save_as(images[0])
    with pytest.raises(DataError, match=r"rs.dcm: RT Structure Set of an image without Image Position"):
        read_dicom_label(items_of(images)[0], path, ClassMap())


# --- what is found ---


def test_images_that_are_not_here_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images, masks = write_series(tmp_path / "images"), draw_masks(3)
    write_seg(tmp_path / "seg.dcm", images, masks)
    uid = pydicom.dcmread(images[1]).SOPInstanceUID
    images[1].unlink()
    assert [item["id"] for item in find_items(tmp_path)] == ["slice_0", "slice_2"]
    assert f"seg.dcm: 1 of 3 images that it refers to are not here (the first: {uid})" in caplog.text
    other, aside = write_series(tmp_path / "new", 1), []
    for image in (images[0], images[2]):
        image.unlink()
    other[0].rename(tmp_path / "images/other.dcm")
    assert "label" not in find_items(tmp_path, set_aside=aside)[0]
    assert [(row.id, row.path) for row in aside if row.id] == [("seg", "seg.dcm")]
    assert aside[0].reason.startswith("segmentation of images that are not here: it refers to 3, the first is ")


def test_images_of_the_series_that_are_not_meant_stay_unlabelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images, masks = write_series(tmp_path), draw_masks(3)
    write_seg(tmp_path / "seg.dcm", images[:2], masks[:2])
    with caplog.at_level(logging.INFO):
        assert ["label" in item for item in find_items(tmp_path)] == [True, True, False]
    assert "seg.dcm does not refer to 1 images of its series, which stay unlabelled" in caplog.text


def test_two_kinds_of_gold_for_one_image(tmp_path: Path) -> None:
    images, masks = write_series(tmp_path), draw_masks(3)
    path = write_seg(tmp_path / "seg.dcm", images, masks)
    items = items_of(images)
    items[1]["label"] = "masks/slice_1.png"
    search = label_by_dicom_gold(items, [path])
    assert search.items == items
    assert search.unused == [(path, "1 images that it labels have a mask file, too (slice_1); keep one of them")]


def test_damaged_gold_is_set_aside(tmp_path: Path) -> None:
    images = write_series(tmp_path)
    path = write_structures(tmp_path / "rs.dcm", images, {"a": []})
    search = label_by_dicom_gold(items_of(images), [path])
    assert search.unused == [(path, "RT Structure Set without closed contours; export it again with them")]
    seg = pydicom.dcmread(write_seg(tmp_path / "seg.dcm", images, draw_masks(3)))
    del seg.SegmentSequence
    seg.save_as(path)
    search = label_by_dicom_gold(items_of(images), [path])
    assert search.unused == [(path, "DICOM segmentation without segments or frames; export it again")]


def test_a_listed_segmentation_of_another_image(tmp_path: Path) -> None:
    images, others = write_series(tmp_path / "a"), write_series(tmp_path / "b")
    write_seg(tmp_path / "seg.dcm", images, draw_masks(3))
    rows = [f"a/slice_{n}.dcm,seg.dcm" for n in range(3)] + ["b/slice_0.dcm,seg.dcm"]
    (tmp_path / "set.csv").write_text("image,label\n" + "\n".join(rows))
    checked = check_items(find_items(tmp_path / "set.csv"), tmp_path / "q.csv")
    assert [item["id"] for item in checked.items] == ["a/slice_0", "a/slice_1", "a/slice_2"]
    assert "seg.dcm: segmentation of another image: it does not refer to this one" in checked.set_aside[0].reason
    assert others


def test_is_dicom_gold(tmp_path: Path) -> None:
    images = write_series(tmp_path, 1)
    (tmp_path / "text.dcm").write_text("no DICOM at all")
    assert is_dicom_gold(write_structures(tmp_path / "rs", images, {}))
    for path in (images[0], tmp_path / "text.dcm", tmp_path / "missing.dcm"):
        assert not is_dicom_gold(path)


# --- classes ---


def test_classes_choose_among_segments(tmp_path: Path) -> None:
    images, masks = write_series(tmp_path), draw_masks(3)
    write_seg(tmp_path / "seg.dcm", images, masks)
    items, findings = find_items(tmp_path), Findings()
    chosen = dicom_gold_classes(items, ClassMap(("tumour",)), findings)
    assert chosen == ClassMap(("tumour",))
    np.testing.assert_array_equal(read_label(items[0], items[0]["label"], chosen)[0], masks[0, ..., 1])
    united = dicom_gold_classes(items, ClassMap(), findings)
    np.testing.assert_array_equal(read_label(items[0], items[0]["label"], united)[0], masks[0].any(-1))
    assert [row.sentence for row in findings.rows()] == [
        "segments that no class names were taken as background: Liver",
        "all segments were united into one class: Liver, Tumour",
    ]
    with pytest.raises(ConfigError, match="classes: no segment is called spleen; the gold has Liver, Tumour"):
        dicom_gold_classes(items, ClassMap(("spleen",)), findings)


def test_too_many_structures_to_be_meant(tmp_path: Path) -> None:
    images = write_series(tmp_path, 1)
    drawn = {f"roi {n}": [contour(images[0], square(2, 2, 6, 6))] for n in range(21)}
    write_structures(tmp_path / "rs.dcm", images, drawn)
    with pytest.raises(
        ConfigError, match=r"classes: the gold has 21 segments .* for example classes: \[roi 0, roi 1\]"
    ):
        check_items(find_items(tmp_path), tmp_path / "q.csv")


def test_sets_without_dicom_gold_keep_their_classes() -> None:
    items = [Item(id="a", image="a.png", group="a", label="a_mask.png")]
    assert dicom_gold_classes(items, None, Findings()) is None
    assert dicom_gold_classes(items, ClassMap(), Findings()) == ClassMap()


# --- order ---


def test_slices_follow_each_other_by_position(tmp_path: Path) -> None:
    write_series(tmp_path, 4, names=["d", "b", "a", "c"])
    items = find_items(tmp_path)
    assert [item["id"] for item in items] == ["d", "b", "a", "c"]
    assert {item["group"] for item in items} == {"a"}
    (tmp_path / "set.csv").write_text("image\na.dcm\nb.dcm\n")
    assert [item["id"] for item in find_items(tmp_path / "set.csv")] == ["a", "b"]


@pytest.mark.shared
def test_the_real_segmentation(shared_data: Path) -> None:
    items = {item["id"]: item for item in find_items(shared_data / "dicom")}
    assert {name for name, item in items.items() if "label" in item} == {"01", "02", "03"}
    seg = hd.seg.segread(shared_data / "dicom/liver.dcm")
    for name in ("01", "02", "03"):
        uid = pydicom.dcmread(items[name]["image"]).SOPInstanceUID
        expected = seg.get_pixels_by_source_instance([uid], combine_segments=False, ignore_spatial_locations=True)
        read = read_label(items[name], items[name]["label"], ClassMap(("Liver",)))
        np.testing.assert_array_equal(read[0], expected[0, ..., 0])
