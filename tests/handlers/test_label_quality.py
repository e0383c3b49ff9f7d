"""Rows of label quality against hand-made answers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from ignite.engine import Engine

from labelmine.handlers import LabelQuality
from labelmine.labelers import PseudoLabel

GOLD = {"a": torch.ones(1, 4, 4, dtype=torch.uint8), "b": torch.zeros(1, 4, 4, dtype=torch.uint8)}


def answer(masks: list[float], scores: list[float], accepted: list[bool]) -> PseudoLabel:
    count = len(masks)
    mask = torch.zeros(count, 1, 4, 4)
    for row, filled in enumerate(masks):
        mask[row].view(-1)[: int(filled * 16)] = 1
    return PseudoLabel(
        mask=mask,
        weight=torch.ones(count, 1, 4, 4),
        score=torch.tensor(scores),
        accepted=torch.tensor(accepted),
        refusal=[None] * count,
        source={},
        prompts=[[] for _ in range(count)],
    )


def run(quality: LabelQuality, epochs: int) -> list[dict[str, float]]:
    def step(engine: Engine, batch: int) -> None:
        if engine.state.epoch == 1:  # "c" has no gold, the second "a" is rejected
            label = answer([0.5, 0.25, 1.0], [0.75, 0.25, 0.5], [True, False, True])
            quality.observe({"id": ["a", "a", "c"]}, label)

    trainer = Engine(step)
    quality.attach(trainer)
    trainer.run([0], max_epochs=epochs)
    return pd.read_csv(quality.path).to_dict("records")


def test_a_row_per_epoch_counts_accepted_labels_with_gold(tmp_path: Path) -> None:
    first, second = run(LabelQuality(tmp_path / "labels.csv", GOLD.get), epochs=2)
    assert (first["epoch"], first["labelled"], first["n_gold"]) == (1, 3, 1)
    assert first["accepted"] == pytest.approx(2 / 3)
    assert first["score"] == pytest.approx(0.5)
    assert first["dice"] == pytest.approx(2 * 8 / (8 + 16))
    assert second["labelled"] == 0
    assert pd.isna(second["dice"])


def test_without_gold_there_are_scores_alone(tmp_path: Path) -> None:
    (row,) = run(LabelQuality(tmp_path / "labels.csv"), epochs=1)
    assert row["score"] == pytest.approx(0.5)
    assert pd.isna(row["dice"])


def test_rows_survive_a_checkpoint(tmp_path: Path) -> None:
    quality = LabelQuality(tmp_path / "a.csv", GOLD.get)
    run(quality, epochs=1)
    again = LabelQuality(tmp_path / "b.csv", GOLD.get)
    again.load_state_dict(quality.state_dict())
    assert again.rows == quality.rows
