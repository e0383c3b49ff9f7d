"""Masks from elsewhere as labels: what is used, how much it counts, what is refused and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms import Compose
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate

from labelmine.data import ClassMap, Item, LoadItem, find_items
from labelmine.errors import ConfigError, DataError
from labelmine.labelers import Labeler, Reason, RecordedLabeler, Refusal
from labelmine.labelers.recorded_masks import at_size
from labelmine.quality import agreement
from labelmine.transforms import StudentView

SIDE = 32


def student(image: Tensor) -> Tensor:
    """A network that finds the left half."""
    logits = torch.full_like(image[:, :1], -3.0)
    logits[..., : SIDE // 2] = 3.0
    return logits


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8)).save(path)


def square(height: int = 24, width: int = 48, value: int = 255) -> np.ndarray:
    mask = np.zeros((height, width))
    mask[height // 4 : height // 2, width // 4 : width // 2] = value
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Masks of images of 24 x 48 pixels: one good, one empty, one of lower resolution, one damaged."""
    save(tmp_path / "medsam" / "good.png", square())
    save(tmp_path / "medsam" / "empty.png", np.zeros((24, 48)))
    save(tmp_path / "medsam" / "deep" / "small.png", square(12, 24))
    (tmp_path / "medsam" / "damaged.png").write_bytes(b"no picture")
    return tmp_path / "medsam"


def batch(*ids: str, size: tuple[int, int] = (24, 48)) -> dict[str, Any]:
    view = StudentView(SIDE)
    views = [view({"id": i, "image": torch.rand(3, *size), "label": torch.zeros(1, *size)}) for i in ids]
    collated: dict[str, Any] = default_collate(views)
    return collated


def scores(folder: Path, text: str) -> Path:
    path = folder / "scores.csv"
    path.write_text(text)
    return path


def test_follows_the_protocol(folder: Path) -> None:
    assert isinstance(RecordedLabeler(folder), Labeler)


def test_masks_are_labels_and_all_else_is_refused_with_its_reason(folder: Path) -> None:
    asked = batch("good", "empty", "deep/small", "nowhere", "damaged")
    answer = RecordedLabeler(folder)(asked, student)

    assert answer.accepted.tolist() == [True, False, True, False, False]
    assert answer.refusal[:4] == [None, Refusal(Reason.EMPTY_MASK), None, Refusal(Reason.NO_MASK)]
    assert (damaged := answer.refusal[4]) is not None
    assert damaged.reason is Reason.DAMAGED_MASK
    assert str(damaged).startswith("damaged.png: content is no image")
    assert answer.source == {"labeler": "recorded", "teacher": "medsam", "teacher_sha256": ""}
    assert answer.prompts == [[]] * 5
    assert dict(answer.signals) == {}
    inside = asked["weight"][0]
    for row, used in enumerate(answer.accepted.tolist()):
        assert torch.equal(answer.weight[row], inside * used)
    view = StudentView(SIDE)
    seen = view({"image": torch.zeros(3, 24, 48), "label": torch.from_numpy(square() > 0)[None].float()})["label"]
    assert torch.equal(answer.mask[0], seen)
    assert torch.equal(answer.mask[2], seen)
    assert not answer.mask[[1, 3, 4]].any()
    torch.testing.assert_close(answer.score, agreement(answer.mask, student(asked["image"]).sigmoid() * inside))


def test_recorded_scores_weigh_and_refuse(folder: Path, tmp_path: Path) -> None:
    table = scores(tmp_path, "id,score\ngood,0.75\ndeep/small,0.25\nempty,1\n")
    labeler = RecordedLabeler(folder, scores=table, min_score=0.5)
    answer = labeler(batch("good", "deep/small", "empty", "damaged"), student)

    assert answer.score.tolist() == [0.75, 0.25, 1.0, 0.0]
    assert torch.equal(answer.signals["recorded_score"], answer.score)
    assert answer.refusal[:3] == [None, Refusal.low_score(0.25, 0.5), Refusal(Reason.EMPTY_MASK)]
    assert answer.weight.flatten(1).amax(1).tolist() == [0.75, 0, 0, 0]
    even = RecordedLabeler(folder, scores=table, min_score=0.2, weighted=False)(batch("good", "deep/small"), student)
    assert even.weight.flatten(1).amax(1).tolist() == [1, 1]


def test_a_mask_without_a_score_is_not_used_where_others_have_one(folder: Path, tmp_path: Path) -> None:
    labeler = RecordedLabeler(folder, scores=scores(tmp_path, "id,score\ngood,0.75\n"), min_score=0)
    assert labeler(batch("deep/small"), student).refusal == [Refusal(Reason.NO_SCORE)]


@pytest.mark.parametrize(("part", "used"), [(0.02, False), (0.04, True), (0.96, True), (0.98, False)])
def test_one_class_limit_counts_background_too(folder: Path, part: float, used: bool) -> None:
    mask = np.zeros(100 * 20)
    mask[: round(mask.size * part)] = 255
    save(folder / "lesion.png", mask.reshape(20, 100))
    asked = batch("lesion", size=(20, 100))

    answer = RecordedLabeler(folder, one_class_limit=0.97)(asked, student)

    assert answer.accepted.tolist() == [used]
    assert [str(refusal or "") for refusal in answer.refusal] == [
        "" if used else "one class fills more than 0.97 of the recorded mask"
    ]
    assert RecordedLabeler(folder)(asked, student).accepted.tolist() == [True]


def test_a_mask_of_another_shape_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(DataError, match=r"good: the recorded mask is 48 x 24 pixels, its image 48 x 48, .* export the"):
        RecordedLabeler(folder)(batch("good", size=(48, 48)), student)


@given(st.integers(4, 40), st.integers(4, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_lower_resolution_is_repeated_pixel_by_pixel(height: int, width: int, factor: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (2, height, width), dtype=np.uint8)
    large = at_size(mask, (height * factor, width * factor), "a")
    np.testing.assert_array_equal(large, mask.repeat(factor, 1).repeat(factor, 2))
    np.testing.assert_array_equal(at_size(large, (height, width), "a"), mask)


def test_class_values_become_channels(folder: Path) -> None:
    save(folder / "organs.png", square(value=2))
    classes = ClassMap.from_config(["liver", "spleen"])
    answer = RecordedLabeler(folder, classes)(batch("organs", "nowhere"), lambda x: student(x).repeat(1, 2, 1, 1))
    assert answer.mask.flatten(2).any(2).tolist() == [[False, True], [False, False]]


def test_slices_take_their_part_of_a_volume(tmp_path: Path) -> None:
    volume = np.zeros((24, 48, 3), dtype=np.uint8)
    volume[..., 1] = square() > 0
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "scan.nii.gz")
    items = [Item(id=f"scan_frame{n:04d}", image="scan.nii.gz", group="scan", frame=n) for n in range(3)]
    labeler = RecordedLabeler(tmp_path, items=items)
    answer = labeler(batch("scan_frame0000", "scan_frame0001"), student)
    assert answer.refusal == [Refusal(Reason.EMPTY_MASK), None]
    assert labeler.knows("scan_frame0002")
    assert not labeler.knows("other_frame0002")


def test_views_without_their_original_size_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"batch: expected views made by StudentView. Missing: id, original_size"):
        RecordedLabeler(folder)({"image": torch.zeros(1, 3, SIDE, SIDE)}, student)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"masks_dir": None}, "masks_dir: expected the folder of the recorded masks; give it by --masks_dir DIR"),
        ({"min_score": 1.5}, r"min_score: expected a number in \[0, 1\]. Got: 1.5"),
        ({"one_class_limit": 0}, r"one_class_limit: expected a number in \(0, 1\], or null. Got: 0"),
        ({"one_class_limit": 97}, "one_class_limit: .* Got: 97"),
    ],
)
def test_bad_knobs(folder: Path, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RecordedLabeler(**{"masks_dir": folder, **knobs})


def test_folders_that_hold_no_label_are_refused(folder: Path, make_items: Callable[..., list[Item]]) -> None:
    with pytest.raises(DataError, match=r"masks_dir: .*absent is no folder; give the folder"):
        RecordedLabeler(folder / "absent")
    (folder / "none").mkdir()
    with pytest.raises(DataError, match=r"masks_dir: no mask in .*none; expected PNG, TIFF, BMP, JPEG or NIfTI files"):
        RecordedLabeler(folder / "none")
    with pytest.raises(DataError, match=r"none of the 4 masks in medsam/ belongs .* names like 'image_000', got 'd"):
        RecordedLabeler(folder, items=make_items(2))
    save(folder / "good.bmp", square())
    with pytest.raises(DataError, match=r"masks_dir: good.bmp and good.png are masks of one image; keep one of them"):
        RecordedLabeler(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "scores: scores.csv cannot be read as a CSV table"),
        ("id,dice\ngood,0.3\n", r"scores.csv: expected the columns \('id', 'score'\), got \('id', 'dice'\)"),
        ("id,score\ngood,1.3\n", r"scores.csv: good: expected a score in \[0, 1\] \(expected Dice\), got .*1.3"),
        ("id,score\ngood,-0.1\n", "good: expected a score .* got .*-0.1"),
        ("id,score\ngood,high\n", "good: expected a score .* got 'high'"),
        ("id,score\ngood,\n", "good: expected a score .* got .*nan"),
    ],
)
def test_bad_scores(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        RecordedLabeler(folder, scores=scores(tmp_path, text))
    with pytest.raises(DataError, match=r"scores: absent.csv cannot be read"):
        RecordedLabeler(folder, scores=tmp_path / "absent.csv")


@pytest.mark.shared
def test_medsam_s_recorded_answers_on_busi(shared_data: Path) -> None:
    """The box masks of S2: 5 of 100 are empty, and their mean Dice against gold is 0.520."""
    busi = shared_data / "busi"
    items = [item for item in find_items(busi) if (busi / "medsam_box_masks" / f"{item['id']}.png").is_file()]
    assert len(items) == 100
    load = Compose([LoadItem(ClassMap()), StudentView(256)])
    labeler = RecordedLabeler(busi / "medsam_box_masks", items=items)
    dice, refusals = [], []
    for start in range(0, 100, 20):
        views = default_collate([load(item) for item in items[start : start + 20]])
        answer = labeler(views, lambda image: image[:, :1])
        dice += agreement(answer.mask, views["label"]).tolist()
        refusals += answer.refusal
    assert (refusals.count(Refusal(Reason.EMPTY_MASK)), refusals.count(None)) == (5, 95)
    assert np.mean(dice) == pytest.approx(0.520, abs=0.005)
