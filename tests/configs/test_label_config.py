from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelmine.data import LabelStore
from labelmine.errors import ConfigError


def test_labels_for_one_more_folder(
    mined: Any,
    tmp_path: Path,
    phantom_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    run_config: Any,
) -> None:
    knobs = {
        "dataset_dir": str(phantom_folder(5) / "images"),
        "model_dir": str(mined.folder),
        "teacher_weights": mined.knobs["teacher_weights"],
        "output_dir": str(tmp_path / "out"),
        "batch_size": 2,
        "device": "cpu",
    }
    run_config("label", **knobs)
    table = pd.read_csv(tmp_path / "out" / "labels" / "manifest.csv", keep_default_na=False)
    assert table["id"].tolist() == [f"case_{number:02d}" for number in range(5)]
    assert len(list((tmp_path / "out" / "labels" / "masks").iterdir())) == 5
    assert ((table["reason"] == "") == table["accepted"]).all()

    def forbidden(*_: Any) -> None:
        raise AssertionError("labelled again")

    monkeypatch.setattr(LabelStore, "write", forbidden)
    run_config("label", **knobs)


def test_a_mistyped_knob_is_refused(run_config: Any, refused: Any) -> None:
    with refused(ConfigError, r"'teacher_weight' \(did you mean 'teacher_weights'\?\)"):
        run_config("label", teacher_weight="compact")
