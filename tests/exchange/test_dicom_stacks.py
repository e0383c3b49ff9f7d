from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from dicom_makers import write_clip, write_dicom, write_slices
from labelmine.data import find_items
from labelmine.errors import DataError
from labelmine.exchange.dicom_stacks import dicom_series, stacks_of


def sizes(folder: Path) -> list[int]:
    return [len(stack.frames) for stack in stacks_of(find_items(folder))]


def test_slices_of_a_series_are_one_stack(tmp_path: Path) -> None:
    write_slices(tmp_path)
    (stack,) = stacks_of(find_items(tmp_path))
    assert (stack.is_only, stack.is_placed, stack.size, stack.thickness) == (True, True, (24, 32), 2)
    assert stack.label == "slice_0 and 2 more"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            {
                "ImageOrientationPatient": ([1.0, 0, 0, 0, 1, 0], [0.0, 1, 0, 0, 0, -1], [1.0, 0, 0, 0, 1, 1e-7]),
                "ImagePositionPatient": ([0, 0, 0], [0, 0, 1], [0, 0, 2]),
            },
            [2, 1],
        ),
        ({"PixelSpacing": ([1, 1], [1, 1], [2, 2])}, [2, 1]),
        ({"ImagePositionPatient": ([0, 0, 0], [0, 0, 0], [-6, 8, 0])}, [2, 1]),  # a place that is taken
        ({"ImagePositionPatient": (..., [0, 0, 0], [-6, 8, 0])}, [1, 2]),  # a place that is missing
        ({"FrameOfReferenceUID": ...}, [1, 1, 1]),
        ({"FrameOfReferenceUID": ("1.2", "1.2", "1.3")}, [2, 1]),
    ],
)
def test_what_cannot_share_a_segmentation_makes_a_stack_of_its_own(
    tags: dict[str, object], expected: list[int], tmp_path: Path
) -> None:
    write_slices(tmp_path, **tags)
    assert sorted(sizes(tmp_path), reverse=True) == sorted(expected, reverse=True)


def test_a_clip_is_a_stack_without_places(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.dcm")
    (stack,) = stacks_of(find_items(tmp_path))
    assert (stack.is_of_clip, stack.is_placed, [frame.number for frame in stack.frames]) == (True, False, [1, 2, 3, 4])


def test_series_are_told_apart_and_pictures_left_out(tmp_path: Path) -> None:
    write_slices(tmp_path / "a", 2)
    write_slices(tmp_path / "b", 1)
    items = [*find_items(tmp_path), {"id": "c", "image": str(tmp_path / "c.png"), "group": "c"}]
    assert [[item["id"] for item in series] for series in dicom_series(items).values()] == [
        ["a/slice_0", "a/slice_1"],
        ["b/slice_0"],
    ]


def test_what_no_segmentation_can_refer_to_is_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "bare.dcm", np.zeros((8, 8), np.uint8), SeriesInstanceUID="1.2")
    with pytest.raises(DataError, match=r"^DICOM file without StudyInstanceUID, by which .*export it again"):
        stacks_of(find_items(tmp_path))
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    write_dicom(tmp_path / "bare.dcm", np.zeros((8, 8), np.uint8), ImageOrientationSlide=[1, 0, 0, 0, 1, 0], **uids)
    with pytest.raises(DataError, match=r"^tile of a whole-slide image"):
        stacks_of(find_items(tmp_path))
