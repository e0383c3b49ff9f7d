from __future__ import annotations

from pathlib import Path

import pytest

from labelmine.errors import DataError
from labelmine.exchange.written_files import WrittenFiles


def test_work_of_others_is_kept_and_the_rest_replaced(tmp_path: Path) -> None:
    first = WrittenFiles(tmp_path)
    for name in ("theirs", "ours", "dropped", "dropped_but_theirs"):
        first.put(name, b"old")
    first.drop_others()
    (tmp_path / "theirs").write_bytes(b"corrected")
    (tmp_path / "dropped_but_theirs").write_bytes(b"corrected")
    again = WrittenFiles(tmp_path)
    assert [again.untouched(tmp_path / name) for name in ("theirs", "ours", "none")] == [False, True, False]
    again.put("theirs", b"new")
    again.put("ours", b"new")
    again.drop_others()
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "written.json"}
    assert contents == {"theirs": b"corrected", "ours": b"new", "dropped_but_theirs": b"corrected"}
    assert not WrittenFiles(tmp_path).untouched(tmp_path / "dropped_but_theirs")


def test_killed_between_record_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WrittenFiles(tmp_path).put("a", b"old")
    with monkeypatch.context() as patch:
        patch.setattr("labelmine.exchange.written_files.write_whole", _only_the_record)
        with pytest.raises(KeyboardInterrupt):
            WrittenFiles(tmp_path).put("a", b"new")
    assert WrittenFiles(tmp_path).untouched(tmp_path / "a")
    WrittenFiles(tmp_path).put("a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def _only_the_record(path: Path, data: bytes, **_: bool) -> None:
    if path.name != "written.json":
        raise KeyboardInterrupt
    path.write_bytes(data)


def test_damaged_record(tmp_path: Path) -> None:
    (tmp_path / "written.json").write_text("{")
    with pytest.raises(DataError, match=r"written.json: damaged .* Move your corrections away and delete it"):
        WrittenFiles(tmp_path)
