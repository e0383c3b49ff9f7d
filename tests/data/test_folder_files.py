from __future__ import annotations

import os
from pathlib import Path

import pytest

from labelmine.data.folder_files import FolderFiles, list_folder


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def names(found: FolderFiles) -> list[str]:
    return [str(path) for path in found.files]


def skipped(found: FolderFiles) -> dict[str, list[str]]:
    return {reason: [str(path) for path in paths] for reason, paths in found.skipped.items()}


def test_clutter_is_passed_over_and_other_hidden_files_are_named(tmp_path: Path) -> None:
    clutter = (
        "Thumbs.db", ".DS_Store", "images/._a.png", "desktop.ini", "__MACOSX/images/a.png", "@eaDir/a.png/x.jpg",
        ".ipynb_checkpoints/a.png", ".git/HEAD", "images/.gitkeep", "$RECYCLE.BIN/S-1/a.png",
    )  # fmt: skip
    for name in ("images/a.png", ".hidden.png", "__old/b.png", *clutter):
        write(tmp_path / name)
    found = list_folder(tmp_path)
    assert names(found) == ["images/a.png"]
    assert found.clutter == len(clutter)
    assert skipped(found) == {"hidden file or folder": [".hidden.png", "__old"]}


def test_links_to_folders_are_followed_once_and_loops_cut(tmp_path: Path) -> None:
    write(tmp_path / "store" / "p1" / "a.png")
    write(tmp_path / "set" / "images" / "b.png")
    (tmp_path / "set" / "images" / "linked").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "set" / "c.png").symlink_to(tmp_path / "store" / "p1" / "a.png")
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set" / "images", target_is_directory=True)
    (tmp_path / "set" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = list_folder(tmp_path / "set")
    assert names(found) == ["c.png", "images/b.png", "images/linked/p1/a.png"]
    assert skipped(found) == {
        "broken link": ["gone.png"],
        "link to a folder that is read already": ["again", "images/linked/loop"],
    }


def test_empty_and_special(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found = list_folder(tmp_path)
    assert skipped(found) == {"neither file nor folder": ["pipe"], "empty folder": ["empty"]}


def test_a_folder_without_the_right_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (reason,) = list_folder(tmp_path).skipped
    assert reason == "folder cannot be read (Permission denied); give yourself the right to"


def test_results_of_a_run_among_the_images_are_no_images(tmp_path: Path) -> None:
    for name in ("a.png", "out/masks/a.png", "out/checksums.jsonl", "deep/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = list_folder(tmp_path)
    assert [str(path) for path in found.files] == ["a.png", "deep/b.png"]
    assert [str(path) for path in found.skipped["results of a labelmine run"]] == ["out"]
    assert [str(path) for path in list_folder(tmp_path / "out").files] == ["checksums.jsonl", "masks/a.png"]
