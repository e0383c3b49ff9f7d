from __future__ import annotations

import json
import sys

import pytest


def test_all_sides_find_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import neighbours

    monkeypatch.setattr(sys, "argv", ["neighbours.py", "--queries", "60", "--pool", "40", "--rounds", "1"])
    neighbours.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(record["seconds"]) == {"torch.cdist", "labelmine", "torch", "scikit-learn"}
    assert max(record["apart"].values()) < 1e-5
