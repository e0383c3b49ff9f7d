"""Journals: what a kill or a bad disk leaves of them is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelmine.journal import Journal, read_journal

ROWS = [{"id": "a", "n": 1}, {"id": 'b, "check": "', "n": [1.5, None]}, {"id": "ü"}]


def written(path: Path) -> Path:
    journal = Journal(path, durable=True)
    assert [journal.append(row) for row in ROWS] == ROWS
    return path


def test_records_come_back(tmp_path: Path) -> None:
    path = written(tmp_path / "j.jsonl")
    assert list(read_journal(path)) == ROWS
    assert Journal(path).size == path.stat().st_size
    assert list(read_journal(tmp_path / "none")) == []


@given(position=st.integers(0, 199), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_loses_its_line_or_joins_two_and_no_more(position: int, bit: int, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.unlink(missing_ok=True)
    content = bytearray(written(path).read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    found = list(read_journal(path))
    assert [row for row in found if row not in ROWS] == []
    assert len(found) >= 1


def test_a_torn_line_is_cut_off_by_who_writes_and_passed_over_by_who_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "j.jsonl")
    path.write_bytes(path.read_bytes()[:-4])
    assert list(read_journal(path)) == ROWS[:2]
    assert not caplog.text, "another process may still be writing it"
    Journal(path).append(ROWS[2])
    assert "j.jsonl: last line is incomplete" in caplog.text
    assert list(read_journal(path)) == ROWS
