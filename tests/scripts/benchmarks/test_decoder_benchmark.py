"""The decoder's benchmark runs, and both of its sides give the same masks."""

from __future__ import annotations

import json
import sys

import decoder
import pytest


def test_both_sides_agree_and_the_last_line_is_the_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["decoder.py", "--images", "1", "--objects", "2", "--rounds", "1"])
    decoder.main()
    verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert verdict["name"] == "decoder"
    assert verdict["bar"] in (3.0, 8.0)
    assert verdict["agreement"] > 0.9999
