"""What ``Prompts`` accepts, refuses and writes into manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmine.errors import DataError
from labelmine.prompts import Prompts


def two_objects(**parts: Any) -> Prompts:
    return Prompts(**{"image_index": torch.tensor([0, 1]), "class_index": torch.tensor([0, 0]), **parts})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"class_index": torch.zeros(3)}, r"class_index: expected shape \(2,\) .* for 2 objects. Got: \(3,\)"),
        ({"boxes": torch.zeros(1, 4)}, r"boxes: expected shape \(2, 4\) .* for 2 objects. Got: \(1, 4\)"),
        ({"boxes": torch.zeros(2, 5)}, r"boxes: expected shape \(2, 4\) .*. Got: \(2, 5\)"),
        ({"points": torch.zeros(2, 3)}, r"points: expected shape \(2, -1, 2\) .*. Got: \(2, 3\)"),
        ({"point_labels": torch.zeros(2, 3, 1)}, r"point_labels: expected shape \(2, -1\) .*. Got: \(2, 3, 1\)"),
        ({"masks": torch.zeros(2, 8, 8)}, r"masks: expected shape \(2, 1, -1, -1\) .*. Got: \(2, 8, 8\)"),
        ({"points": torch.zeros(2, 1, 2)}, "points and point_labels come together: give both or neither"),
        ({"point_labels": torch.zeros(2, 1)}, "points and point_labels come together: give both or neither"),
    ],
)
def test_parts_that_disagree_are_named(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        two_objects(**parts)


def test_length_is_the_number_of_objects_over_all_images() -> None:
    assert len(two_objects()) == 2
    empty = torch.zeros(0, dtype=torch.int64)
    assert len(Prompts(image_index=empty, class_index=empty, boxes=torch.zeros(0, 4))) == 0


def test_to_moves_every_part_and_keeps_what_is_absent() -> None:
    moved = two_objects(boxes=torch.ones(2, 4)).to("meta")
    assert moved.image_index.device.type == "meta"
    assert moved.boxes is not None
    assert moved.boxes.device.type == "meta"
    assert moved.points is None


def test_manifest_rows_hold_one_image_without_padding() -> None:
    prompts = Prompts(
        image_index=torch.tensor([0, 1, 1]),
        class_index=torch.tensor([0, 0, 2]),
        boxes=torch.tensor([[0.0, 0, 5, 5], [1, 2, 3, 4], [1.23456, 2, 9, 9]]),
        points=torch.tensor([[[0.0, 0], [0, 0]], [[1, 2], [7, 7]], [[2, 3], [0, 0]]]),
        point_labels=torch.tensor([[1.0, 1], [1, 0], [1, -1]]),
    )
    rows = prompts.of_image(1)
    assert rows == [
        {"class": 0, "box": [1, 2, 3, 4], "points": [[1, 2], [7, 7]], "point_labels": [1, 0]},
        {"class": 2, "box": [1.23, 2, 9, 9], "points": [[2, 3]], "point_labels": [1], "padding": [1]},
    ]
    assert json.loads(json.dumps(rows)) == rows
    assert prompts.of_image(2) == []


@st.composite
def any_prompts(draw: st.DrawFn) -> tuple[Prompts, int]:
    """Up to 6 objects in 3 images, boxes and points at fractions of pixels, padding anywhere."""
    n, p = draw(st.integers(0, 6)), draw(st.integers(0, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    size = draw(st.sampled_from([32.0, 224.0, 4096.0]))
    with_points = draw(st.booleans())
    return Prompts(
        image_index=torch.randint(3, (n,), generator=generator).sort().values,
        class_index=torch.randint(4, (n,), generator=generator),
        boxes=torch.rand(n, 4, generator=generator) * size if draw(st.booleans()) else None,
        points=torch.rand(n, p, 2, generator=generator) * size if with_points else None,
        point_labels=torch.randint(-1, 2, (n, p), generator=generator).float() if with_points else None,
    ), 3


@given(any_prompts())
@settings(max_examples=200, deadline=None)
def test_a_record_gives_back_the_very_prompts_that_were_asked(drawn: tuple[Prompts, int]) -> None:
    asked, n_images = drawn[0].rounded(), drawn[1]
    records = json.loads(json.dumps([asked.of_image(index) for index in range(n_images)]))
    again = Prompts.from_records(records)
    assert torch.equal(again.image_index, asked.image_index)
    assert torch.equal(again.class_index, asked.class_index)
    if len(asked):  # without an object nothing says what it would have been asked by
        assert (again.boxes is None, again.points is None) == (asked.boxes is None, asked.points is None)
    if again.boxes is not None and asked.boxes is not None:
        assert torch.equal(again.boxes, asked.boxes)
    if again.points is not None and asked.points is not None and asked.point_labels is not None:
        assert again.point_labels is not None
        assert torch.equal(again.point_labels, asked.point_labels)
        real = asked.point_labels >= 0
        assert torch.equal(again.points[real], asked.points[real])
    if asked.boxes is not None:
        torch.testing.assert_close(asked.boxes, drawn[0].boxes, atol=0.0051, rtol=0)


def test_objects_with_unequal_numbers_of_points_are_filled_up() -> None:
    rows = [{"class": 0, "points": [[1, 2]], "point_labels": [1]}]
    more = [{"class": 1, "points": [[3, 4], [5, 6]], "point_labels": [1, 0]}]
    prompts = Prompts.from_records([rows, more])
    assert prompts.point_labels is not None
    assert prompts.point_labels.tolist() == [[1, -1], [1, 0]]


def test_what_a_record_cannot_tell_is_refused() -> None:
    masked = two_objects(masks=torch.zeros(2, 1, 8, 8)).of_image(0)
    assert masked == [{"class": 0, "mask": True}]
    with pytest.raises(DataError, match="a mask prompt is not in the record"):
        Prompts.from_records([masked])
    with pytest.raises(DataError, match="expected 'box' in all rows of a batch or in none; ask the others apart"):
        Prompts.from_records([[{"class": 0, "box": [0, 0, 1, 1]}], [{"class": 0}]])
