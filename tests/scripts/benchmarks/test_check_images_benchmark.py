from __future__ import annotations

import json
import re
import sys

import pytest


def test_all_searches_find_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss")
    import check_images

    argv = ["check_images.py", "--images", "12", "--hashes", "60", "--ours_alone", "80", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", argv)
    check_images.main()
    said = capsys.readouterr().out
    found = dict(re.findall(r"60 hashes, \d+ pairs, (.*?): .*?(\d+\.\d+) s", said))
    assert found.keys() == {"numpy", "labelmine", "faiss's tables"}
    record = json.loads(said.splitlines()[-1])
    assert record["name"] == "check_images"
    assert set(record["seconds"]) == {"find", "open", "near_duplicates"}
