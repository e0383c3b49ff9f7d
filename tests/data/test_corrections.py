from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from labelmine.data.corrections import Corrections, place_corrections
from labelmine.data.items import Item


def test_validation_and_test_keep_their_gold(caplog: pytest.LogCaptureFixture) -> None:
    def item(name: str, **more: Any) -> Item:
        return Item(id=name, image=f"{name}.png", group=name, **more)

    split = [
        item("hidden", split="unlabeled", dropped_label="old.png"), item("bare", split="unlabeled"),
        item("gold", split="train", label="old.png"), item("exam", split="test", label="old.png"),
        item("choice", split="val", label="old.png"), item("rest", split="unlabeled"),
    ]  # fmt: skip
    corrections = Corrections(
        {n: Path(f"new/{n}.png") for n in ("hidden", "bare", "gold", "exam", "choice", "held_out")}
    )
    with caplog.at_level(logging.WARNING):
        placed = place_corrections(split, corrections)
    assert placed == [
        *(item(n, split="train", label=str(Path(f"new/{n}.png"))) for n in ("hidden", "bare", "gold")), *split[3:],
    ]  # fmt: skip
    assert [record.message for record in caplog.records] == [
        "corrections: choice is in val, which must not change: its correction is not used",
        "corrections: exam is in test, which must not change: its correction is not used",
        "corrections: held_out shares a group with validation or test gold, which must not change: its correction is "
        "not used",
    ]
    assert split[0]["split"] == "unlabeled"  # the list given stays as it was
