"""Baselines without a large model: mean teacher and weak-to-strong consistency."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor

from labelmine.handlers import PseudoLabeling
from labelmine.transforms import StrongView

OVERLAYS = ["labeler_mean_teacher", "labeler_weak_to_strong"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_only_changes_what_mine_has(name: str, config_files: Any) -> None:
    overlay, known = (ConfigParser.load_config_file(config_files(one)[0]) for one in (name, "mine"))
    assert set(overlay) <= set(known)


@pytest.mark.parametrize("name", OVERLAYS)
def test_runs_without_a_teacher_and_labels_at_each_visit(
    name: str,
    phantom_folder: Callable[..., Path],
    tmp_path: Path,
    small: dict[str, Any],
    run_config: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: dict[str, list[Tensor]] = {"strong": [], "label": []}
    strong, fill = StrongView.__call__, PseudoLabeling.fill

    def look(self: StrongView, batch: Any) -> Any:
        seen["strong"].append(batch["is_labeled"])
        return strong(self, batch)

    def filled(self: PseudoLabeling, engine: Any) -> None:
        fill(self, engine)
        seen["label"].append(engine.state.batch["label"][~engine.state.batch["is_labeled"]])

    monkeypatch.setattr(StrongView, "__call__", look)
    monkeypatch.setattr(PseudoLabeling, "fill", filled)
    folder = phantom_folder(16, labeled=8)
    run_config("mine", name, **small, dataset_dir=str(folder), output_dir=str(tmp_path / "out"), confidence=0.5)

    labels = torch.cat([label.flatten() for label in seen["label"]])
    assert bool(((labels > 0) & (labels < 1)).any()) == (name == "labeler_mean_teacher")
    assert bool(seen["strong"]) == (name == "labeler_weak_to_strong")
    assert len(pd.read_csv(tmp_path / "out" / "mined" / "history.csv")) == small["max_epochs"]
