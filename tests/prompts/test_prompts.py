"""What ``Prompts`` accepts, refuses and writes into manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

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
    with pytest.raises(ValueError, match=message):
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
        {"class": 2, "box": [1.23, 2, 9, 9], "points": [[2, 3]], "point_labels": [1]},
    ]
    assert json.loads(json.dumps(rows)) == rows
    assert prompts.of_image(2) == []
