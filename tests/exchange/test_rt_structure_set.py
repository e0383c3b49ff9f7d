"""RT Structure Sets: contours that give the mask back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import polygon2mask

from dicom_makers import write_clip, write_slices
from labelmine.exchange.contours import outlines
from labelmine.exchange.identity import Pseudonym
from labelmine.exchange.rt_structure_set import StructureSetForm


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_outlines_fill_what_the_mask_holds(mask: Any) -> None:
    """Each part is filled by itself, by another library's rule: even-odd by skimage."""
    filled = np.zeros_like(mask)
    for polygon in outlines(mask):
        part = polygon2mask(mask.shape, polygon.round(3))
        assert not (filled & part).any()
        filled |= part
    np.testing.assert_array_equal(filled, mask)


def test_contours_come_back_as_the_same_masks(
    form: Any, the_stack: Any, masks_of: Any, gold_in: Any, dciodvfy: Any, tmp_path: Path
) -> None:
    write_slices(tmp_path / "images")
    stack = the_stack(tmp_path / "images")
    masks = masks_of(stack)
    masks[0, 7:9, 10:12, 0] = False  # a hole
    masks[1, 0, 0, 1] = True  # a single pixel, in the corner
    made = form(tmp_path / "rt", StructureSetForm)
    path = made.path(stack)
    path.parent.mkdir()
    path.write_bytes(made.build(stack, masks))
    assert made.is_current(stack)
    assert dciodvfy(path) == []
    gold = gold_in(tmp_path)
    for frame, mask in zip(stack.frames, masks, strict=True):
        np.testing.assert_array_equal(gold[frame.item["id"]], mask)
    structures = pydicom.dcmread(path)
    assert [roi.ROIName for roi in structures.StructureSetROISequence] == ["lesion", "thing"]
    assert structures.PatientName == "Doe^Jane"
    assert structures.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence[0].CodeMeaning == "Lesion"


def test_empty_masks_and_no_patient(
    form: Any, the_stack: Any, dciodvfy: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_slices(tmp_path / "images", 2)
    stack = the_stack(tmp_path / "images")
    made = form(tmp_path, StructureSetForm, identity=Pseudonym(b"key"))
    with caplog.at_level(logging.DEBUG):
        made.path(stack).write_bytes(made.build(stack, np.zeros((2, *stack.size, 2), dtype=bool)))
    assert dciodvfy(made.path(stack)) == []
    content = made.path(stack).read_bytes()
    assert [word for word in (b"Doe", b"4711", b"Hospital", stack.series.encode()) if word in content] == []


def test_images_without_a_place_are_refused(form: Any, the_stack: Any, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.dcm")
    assert "do not say where they lie" in form(tmp_path, StructureSetForm).refusal(the_stack(tmp_path))
