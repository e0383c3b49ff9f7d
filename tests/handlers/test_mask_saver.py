from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ignite.engine import Engine
from PIL import Image

from labelmine.data import ClassMap, Item, LabelStore
from labelmine.handlers import MaskSaver

SIZE = (20, 40)


def batches(ids: list[str]) -> list[dict[str, Any]]:
    """One image per batch; its view is 64 wide, 32 of its rows are image."""
    return [{"id": [image_id], "original_size": torch.tensor([SIZE])} for image_id in ids]


def left_half(engine: Engine, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    probability = torch.zeros(1, 1, 64, 64)
    probability[..., :32] = 0.9
    return {"pred": probability}


def test_masks_have_the_original_size(tmp_path: Path, make_items: Callable[..., list[Item]]) -> None:
    store = LabelStore(tmp_path, ClassMap())
    engine = Engine(left_half)
    MaskSaver(store, make_items(2), {"drawn_by": "student"}).attach(engine)
    engine.run(batches(["image_000", "image_001"]))

    expected = np.zeros(SIZE, np.uint8)
    expected[:, :20] = 255
    for name in ("image_000", "image_001"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / "masks" / f"{name}.png")), expected)
    table = pd.read_csv(tmp_path / "manifest.csv")
    assert table["id"].tolist() == ["image_000", "image_001"]
    assert (table["drawn_by"] == "student").all()
    assert table["accepted"].all()


def test_what_was_written_before_a_kill_is_there(tmp_path: Path, make_items: Callable[..., list[Item]]) -> None:
    def killed(engine: Engine, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        if batch["id"] == ["image_001"]:
            raise KeyboardInterrupt
        return left_half(engine, batch)

    engine = Engine(killed)
    MaskSaver(LabelStore(tmp_path, ClassMap()), make_items(2)).attach(engine)
    with pytest.raises(KeyboardInterrupt):
        engine.run(batches(["image_000", "image_001"]))
    assert LabelStore(tmp_path, ClassMap()).done == {"image_000"}
