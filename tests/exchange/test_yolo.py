"""YOLO polygons, read back by filling them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_fill_holes
from skimage.draw import polygon
from skimage.measure import label as connected_components

from labelmine.exchange.label_set import LabelSet
from labelmine.exchange.yolo import outlines, write_yolo


def filled(corners: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Pixels whose centres lie inside; corners are counted from the corner of the first pixel."""
    mask = np.zeros(size, dtype=bool)
    mask[polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, size)] = True
    return mask


def without_holes(mask: np.ndarray) -> np.ndarray:
    """Each part by itself: what lies in a hole of another is there already."""
    parts, count = connected_components(mask, connectivity=2, return_num=True)
    return np.any([binary_fill_holes(parts == number) for number in range(1, count + 1)] or [mask], axis=0)


def test_polygons_come_back_equal_but_for_holes(
    make_label_set: Callable[..., LabelSet], tmp_path: Path, tells_nothing: Callable
) -> None:
    labels = make_label_set(overlap=True)
    figures = write_yolo(labels, tmp_path / "out")
    for image in labels.images:
        wanted, weight = labels.read_label(image)
        mask = np.zeros_like(wanted)
        text = (tmp_path / "out" / "labels" / image.split / f"{labels.names[image.id]}.txt").read_text()
        for line in text.splitlines():
            number, *numbers = line.split()
            shares = np.array(numbers, dtype=float).reshape(-1, 2)
            assert len(shares) >= 3
            assert shares.min() >= 0
            assert shares.max() <= 1
            mask[int(number)] |= filled(shares * weight.shape[::-1], weight.shape)
        np.testing.assert_array_equal(mask, [without_holes(channel) for channel in wanted])
        assert (tmp_path / "out" / "images" / image.split / f"{labels.names[image.id]}.png").is_file()
    assert figures["lost"]["objects_with_holes"] == len(labels.images)
    assert figures["lost"]["pixels_filled"] == 9 * len(labels.images)
    assert figures["lost"]["pixels_that_abstain"] == 2 * 2 * 28
    tells_nothing(tmp_path / "out")


def test_data_yaml_names_folders_beside_it(make_label_set: Callable[..., LabelSet], tmp_path: Path) -> None:
    write_yolo(make_label_set(), tmp_path / "out")
    content = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert content["names"] == {0: "lesion", 1: "scar"}
    assert "path" not in content
    for split in ("train", "val", "test"):
        assert (tmp_path / "out" / content[split]).is_dir()
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "out" / "labels.csv").open())}
    assert (rows["e"]["drawn_by"], rows["e"]["score"], rows["e"]["abstaining"]) == ("blend", "0.8765", "0.1000")
    assert (rows["c"]["drawn_by"], rows["c"]["score"], rows["c"]["mean_weight"]) == ("expert", "", "1.0000")
    assert rows["p/a"]["group"] == rows["p/b"]["group"] == "p__a"


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=60, deadline=None)
def test_any_mask_has_outlines_that_fill_to_it(mask: np.ndarray) -> None:
    found = outlines(mask)
    assert len(found) == connected_components(mask, connectivity=2).max(initial=0)
    again = np.any([filled(corners, mask.shape) for corners, _ in found] or [np.zeros_like(mask)], axis=0)
    np.testing.assert_array_equal(again, without_holes(mask))


def test_a_long_edge_is_two_corners() -> None:
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:35, 10:30] = True
    ((corners, hole),) = outlines(mask)
    assert (len(corners), hole) == (8, 0), "corners are cut by half a pixel"
    assert corners.min(axis=0).tolist() == [10, 5]
    assert corners.max(axis=0).tolist() == [30, 35]


def test_a_set_without_validation_says_so_by_its_absence(
    make_label_set: Callable[..., LabelSet], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = make_label_set()
    write_yolo(LabelSet(labels.name, labels.classes, labels.images[:2]), tmp_path / "out")
    assert set(yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())) == {"train", "names"}
