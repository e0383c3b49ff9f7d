from __future__ import annotations

import pytest
import torch
from torch import Tensor

from labelmine.errors import ConfigError
from labelmine.transforms import StrongView


def batch(is_labeled: list[bool], size: int = 32) -> dict[str, Tensor]:
    """Rows whose image, label and weight say which row a pixel came from."""
    n = len(is_labeled)
    row = torch.arange(1.0, n + 1).reshape(-1, 1, 1, 1) / (n + 1)
    place = row.expand(n, 1, size, size)
    image = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))
    return {"image": image, "label": place.clone(), "weight": place.clone(), "is_labeled": torch.tensor(is_labeled)}


def test_gold_stays_as_it_is() -> None:
    before = batch([True, False, True, False])
    after = StrongView(0.5, seed=1)(before)
    for key in ("image", "label", "weight"):
        assert torch.equal(after[key][[0, 2]], before[key][[0, 2]])
    assert not torch.equal(after["image"][[1, 3]], before["image"][[1, 3]])


def test_label_and_weight_are_mixed_from_the_same_rows_as_each_other() -> None:
    view = StrongView(0.5, seed=3)
    mixed = 0
    for epoch in range(20):
        view.set_epoch(epoch)
        after = view(batch([False] * 6))
        assert torch.equal(after["label"], after["weight"])
        mixed += int((after["label"].flatten(1).max(1).values != after["label"].flatten(1).min(1).values).sum())
    assert 20 < mixed < 80  # half of 120 rows, less those whose box is their own


def test_boxes_cover_what_they_should() -> None:
    boxes = StrongView(seed=0)._boxes(500, 64)
    assert boxes.shape == (500, 1, 64, 64)
    share = boxes.float().mean((1, 2, 3))
    assert share.min() > 0.01
    assert share.max() < 0.45
    assert abs(share.mean() - 0.21) < 0.02  # the mean of areas drawn from 0.02 to 0.4
    for box in boxes[:20, 0]:
        rows, columns = box.any(1).nonzero().flatten(), box.any(0).nonzero().flatten()
        assert box.sum() == len(rows) * len(columns) == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)


def test_the_box_of_the_image_is_that_of_the_label() -> None:
    """Without changed colours a pixel's row can be told from the image too."""
    view = StrongView(0.5, seed=0)
    view._colours.jitter = view._colours.grey = view._colours.blur = 0.0
    rows = batch([False] * 6)
    rows["image"] = rows["label"].expand(-1, 3, -1, -1).clone()
    after = view(rows)
    torch.testing.assert_close(after["image"][:, :1], after["label"], atol=1e-5, rtol=0)


def test_an_epoch_draws_the_same_again() -> None:
    rows, view = batch([False] * 4), StrongView(0.5)
    view.set_epoch(2)
    first = view(rows)["image"]
    assert not torch.equal(view(rows)["image"], first)
    view.set_epoch(2)
    assert torch.equal(view(rows)["image"], first)


def test_a_batch_of_gold_alone() -> None:
    rows = batch([True, True])
    assert torch.equal(StrongView()(rows)["image"], rows["image"])


def test_strength_out_of_range() -> None:
    with pytest.raises(ConfigError, match=r"strong_view: expected a number in \(0, 1\]"):
        StrongView(1.5)
