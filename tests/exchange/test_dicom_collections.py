"""DICOM SEG and RT Structure Sets of every readable file of pydicom's and pydicom-data's collections.

Each is examined by dciodvfy and read back by highdicom and by our own reader. What dciodvfy finds may only concern
attributes that are the images' own (``INHERITED``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_store
import highdicom as hd
import numpy as np
import pydicom
import pytest

from labelmine.data import ClassMap, Item, read_image
from labelmine.data.dicom_gold import read_dicom_label
from labelmine.data.headers import file_kind, read_header
from labelmine.errors import DataError
from labelmine.exchange.dicom_stacks import Stack, stacks_of
from labelmine.exchange.rt_structure_set import StructureSetForm
from makers import dicom_file

#: CT and MR with a place, an enhanced clip, clips without, palette and RGB, no place, another character set.
SAMPLE = (
    "CT_small.dcm", "MR_small.dcm", "emri_small.dcm", "SC_rgb_rle_2frame.dcm", "rtdose.dcm", "SC_rgb_small_odd.dcm",
    "JPEG2000.dcm", "693_UNCI.dcm",
)  # fmt: skip
#: What dciodvfy finds wrong with attributes that are the images' own: UIDs that are none or the same, for example.
INHERITED = (
    "/StudyInstanceUID", "/SeriesInstanceUID", "/ReferencedSOPInstanceUID", "/DeidentificationMethod", "/PatientAge",
    "/StudyID",
)  # fmt: skip
CLASSES = ClassMap(("lesion", "thing"), (1, 2))


def stacks_in(path: Path) -> list[Stack]:
    """Stacks of a file; none where it is no image that we read, or none that a segmentation can refer to."""
    try:
        if file_kind(path) != "dicom" or (header := read_header(path)).is_gold:
            return []
        item = Item(id=path.stem, image=str(path), group=path.stem)
        frames = [Item(**{**item, "frame": index}) for index in range(header.frames or 0)] or [item]  # type: ignore[typeddict-item]
        read_image(frames[0])
        return stacks_of(frames)
    except DataError:
        return []


def ours(errors: list[str]) -> list[str]:
    return [error for error in errors if not any(name in error.split(" - ")[1] for name in INHERITED)]


def check(path: Path, form: Any, masks_of: Any, dciodvfy: Any, folder: Path) -> int:
    """Write and read all forms of a file, and return how many segmentations there were."""
    stacks = stacks_in(path)
    for stack in stacks:
        masks = masks_of(stack)
        for made in (form(folder / "seg"), form(folder / "rt", StructureSetForm)):
            if made.refusal(stack):
                continue
            file = made.path(stack)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(made.build(stack, masks))
            assert ours(dciodvfy(file)) == []
            for frame, mask in list(zip(stack.frames, masks, strict=True))[::7]:
                gold = read_dicom_label(frame.item, file, CLASSES)
                np.testing.assert_array_equal(np.moveaxis(gold, 0, -1), mask)
        seg = hd.seg.segread(form(folder / "seg").path(stack))
        if stack.is_of_clip:
            last = max(index for index, mask in enumerate(masks) if mask.any()) + 1
            numbers = [frame.number for frame in stack.frames[:last]]
            found = seg.get_pixels_by_source_frame(stack.frames[0].instance, numbers)
        else:
            last, found = len(masks), seg.get_pixels_by_source_instance([frame.instance for frame in stack.frames])
        np.testing.assert_array_equal(found, masks[:last])
    return len(stacks)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample(name: str, form: Any, masks_of: Any, dciodvfy: Any, tmp_path: Path) -> None:
    assert check(dicom_file(name), form, masks_of, dciodvfy, tmp_path) == 1


def all_files() -> Iterator[Path]:
    for module in (pydicom, data_store):
        folder = Path(str(module.__file__)).parent
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_files(form: Any, masks_of: Any, dciodvfy: Any, tmp_path: Path) -> None:
    found = 0
    for number, path in enumerate(all_files()):
        (folder := tmp_path / str(number)).mkdir()
        try:
            found += check(path, form, masks_of, dciodvfy, folder)
        except Exception as error:
            raise AssertionError(path.name) from error
    assert found > 150
