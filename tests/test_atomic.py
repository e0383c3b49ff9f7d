"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelmine.atomic import tell_of_writes, write_whole
from labelmine.errors import StorageError


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was flushed to the disk."""
    names: list[str] = []
    monkeypatch.setattr(
        "os.fsync", lambda handle: names.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
    )
    return names


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names of open files come from /proc")
def test_a_file_that_matters_is_flushed_before_it_takes_its_place_and_then_its_folder(
    tmp_path: Path, flushed: list[str]
) -> None:
    write_whole(tmp_path / "new" / "a", b"1")
    assert len(flushed) == 2
    assert flushed[0].startswith(".writing-")
    assert flushed[1] == "new"
    write_whole(tmp_path / "new" / "b", b"1", durable=False)
    assert len(flushed) == 2


@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "os.chmod", "tempfile.mkstemp"])
def test_a_full_disk_names_file_bytes_and_way_out_and_leaves_the_old_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a", b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(step, full)
        with pytest.raises(StorageError) as caught:
            write_whole(tmp_path / "a", b"12345")
    said = f"{tmp_path / 'a'} (5 bytes): No space left on device. Make room there; the same command then goes on"
    assert str(caught.value) == said
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_odd_targets_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"A file is where a folder is wanted"):
        write_whole(tmp_path / "file" / "a", b"1")
    with pytest.raises(StorageError, match=r"The name, or its path, is too long"):
        write_whole(tmp_path / ("x" * 300), b"1")


def test_who_asked_is_told_before_the_file_is_there_of_the_innermost_folder_alone(tmp_path: Path) -> None:
    told: list[tuple[str, str, bool]] = []

    def teller(name: str) -> Callable[[Path, bytes], None]:
        return lambda path, content: told.append((name, content.decode(), path.is_file()))

    tell_of_writes(tmp_path / "run", teller("run"))
    tell_of_writes(tmp_path / "run" / "inner", teller("inner"))
    write_whole(tmp_path / "run" / "a", b"1")
    write_whole(tmp_path / "run" / "inner" / "b", b"2")
    write_whole(tmp_path / "elsewhere", b"3")
    write_whole(tmp_path / "run" / "theirs", b"4", told=False)
    assert told == [("run", "1", False), ("inner", "2", False)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk is made by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_goes_on_when_there_is_room(small_disk: Path) -> None:
    write_whole(small_disk / "large", bytes(600_000))
    with pytest.raises(StorageError, match=r"a \(600000 bytes\): No space left on device"):
        write_whole(small_disk / "a", bytes(600_000))
    assert [path.name for path in small_disk.iterdir()] == ["large"]
    (small_disk / "large").unlink()
    write_whole(small_disk / "a", bytes(600_000))
