"""Which series are written, when, and what becomes of the masks' own files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicom_makers import write_clip, write_dicom, write_slices
from labelmine.data import ClassMap, Item, LabelStore, find_items
from labelmine.exchange.rt_structure_set import StructureSetForm
from labelmine.exchange.series_masks import SeriesMasks
from makers import Killed


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    write_slices(tmp_path / "in" / "ct")
    write_clip(tmp_path / "in" / "clip.dcm")
    return find_items(tmp_path / "in")


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "out", ClassMap(("lesion", "thing"), (1, 2)))


def label(store: LabelStore, items: list[Item], accepted: bool = True) -> None:
    masks = np.zeros((2, 24, 32), dtype=bool)
    masks[0, 4:9, 5:20] = masks[1, 6:12, 8:30] = True
    for item in items:
        store.write(item, masks, {"accepted": accepted}, probability=masks * 0.75)


def test_a_series_waits_for_its_last_mask_and_is_written_once(
    items: list[Item], store: LabelStore, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seg = form(tmp_path / "seg")
    writer = SeriesMasks(store, [seg])
    slices = [item for item in items if item["id"].startswith("ct")]
    label(store, slices[:2])
    assert writer.write(items) == {}
    label(store, slices[2:])
    assert writer.write(items) == {"DICOM SEG": 1}
    label(store, [item for item in items if item not in slices])
    (first,) = (tmp_path / "seg").iterdir()
    written = first.stat().st_mtime_ns
    assert writer.write(items) == {"DICOM SEG": 2}
    monkeypatch.setattr(seg, "build", lambda *_: pytest.fail("written again"))
    assert writer.write(items) == {"DICOM SEG": 2}
    assert first.stat().st_mtime_ns == written


def test_a_killed_run_goes_on(
    items: list[Item], store: LabelStore, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(store, items)
    seg = form(tmp_path / "seg")
    build, calls = seg.build, []

    def killed(stack: Any, masks: Any) -> bytes:
        calls.append(stack.series)
        if len(calls) == 2:
            raise Killed
        return bytes(build(stack, masks))

    monkeypatch.setattr(seg, "build", killed)
    with pytest.raises(Killed):
        SeriesMasks(store, [seg], alone=True).write(items)
    assert SeriesMasks(store, [seg], alone=True).write(items) == {"DICOM SEG": 2}
    assert len(calls) == 3
    assert not list((tmp_path / "out" / "masks").rglob("*.png"))


def test_a_series_that_has_grown_is_written_anew(
    items: list[Item], store: LabelStore, form: Any, the_stack: Any, tmp_path: Path
) -> None:
    label(store, items)
    seg = form(tmp_path / "seg")
    SeriesMasks(store, [seg]).write([item for item in items if item["id"] != "ct/slice_2"])
    assert not seg.is_current(the_stack(tmp_path / "in" / "ct"))
    SeriesMasks(store, [seg]).write(items)
    assert seg.is_current(the_stack(tmp_path / "in" / "ct"))


def test_probabilities_and_overlaps_come_from_the_store(
    items: list[Item], store: LabelStore, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(store, items)
    seen: list[Any] = []
    for fractional in (False, True):
        seg = form(tmp_path / str(fractional), fractional=fractional)
        monkeypatch.setattr(seg, "build", lambda stack, masks: (seen.append(masks), b"x" * 200)[1])
        SeriesMasks(store, [seg]).write(items[:0] + [item for item in items if item["id"].startswith("ct")])
    assert seen[0].shape == (3, 24, 32, 2)
    assert (seen[0].sum(), seen[0].all(axis=-1).sum()) == (3 * (75 + 132), 3 * 36)
    np.testing.assert_allclose(seen[1], seen[0] * 0.75, atol=0.5 / 255)


def test_refused_labels_are_left_out(items: list[Item], store: LabelStore, form: Any, tmp_path: Path) -> None:
    slices = [item for item in items if item["id"].startswith("ct")]
    label(store, slices[:1])
    label(store, slices[1:], accepted=False)
    seg = form(tmp_path / "seg")
    SeriesMasks(store, [seg]).write(slices)
    (path,) = (tmp_path / "seg").iterdir()
    assert len(seg.images_of(path)) == 1


def test_what_cannot_be_written_keeps_its_png_and_says_why(
    items: list[Item], store: LabelStore, form: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = write_dicom(tmp_path / "in" / "bare.dcm", np.zeros((24, 32), np.uint8), SOPInstanceUID="1.2.3")
    items = [*items, Item(id="bare", image=str(bare), group="bare")]
    label(store, items)
    with caplog.at_level(logging.WARNING):
        counts = SeriesMasks(store, [form(tmp_path / "rt", StructureSetForm)], alone=True).write(items)
    assert counts == {"RT Structure Set": 1}
    left = sorted(path.stem for path in (tmp_path / "out" / "masks").rglob("*.png"))
    assert left == ["bare", *(f"clip_frame{index:04d}" for index in range(4))]
    assert len(caplog.messages) == 2
    assert "clip_frame0000 and 3 more: no RT Structure Set, as the images do not say where they lie" in caplog.text
    assert "bare: DICOM file without StudyInstanceUID, SeriesInstanceUID" in caplog.text


def test_one_odd_series_does_not_stop_the_others(
    items: list[Item], store: LabelStore, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    label(store, items)
    seg = form(tmp_path / "seg")
    build = seg.build

    def odd(stack: Any, masks: Any) -> bytes:
        if stack.is_of_clip:
            raise ValueError("invalid value: Doe^Jane")
        return bytes(build(stack, masks))

    monkeypatch.setattr(seg, "build", odd)
    with caplog.at_level(logging.INFO):
        assert SeriesMasks(store, [seg], alone=True).write(items) == {"DICOM SEG": 1}
    assert "clip_frame0000 and 3 more: no DICOM SEG, as an attribute of the images stands against it" in caplog.text
    assert "Doe" not in caplog.text
    assert len(list((tmp_path / "out" / "masks").rglob("clip*.png"))) == 4
