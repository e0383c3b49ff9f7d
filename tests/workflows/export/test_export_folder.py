"""The folder of an export: whole or not at all, and nobody else's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labelmine.errors import ConfigError
from labelmine.workflows.export import export_folder
from labelmine.workflows.export.export_folder import ExportFolder
from makers import Killed


def begun(path: Path, *names: str, form: str = "csv") -> ExportFolder:
    folder = ExportFolder(path, form)
    for name in names:
        (folder.content / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.content / name).write_text(name)
    return folder


def files(path: Path) -> set[str]:
    return {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}


def test_a_later_export_replaces_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    begun(tmp_path / "out", "images/a.png", "old.csv").put_in_place({"left_out": 1})
    assert files(tmp_path / "out") == {"images/a.png", "old.csv", "export.json"}
    (tmp_path / "out" / "notes.txt").touch()
    begun(tmp_path / "out", "images/b.png").put_in_place({})
    assert files(tmp_path / "out") == {"images/b.png", "notes.txt", "export.json"}
    with pytest.raises(ConfigError, match=r"out/notes.txt is no export's; give a new folder"):
        begun(tmp_path / "out", "notes.txt", "images/c.png").put_in_place({})
    assert files(tmp_path / "out") >= {"images/b.png", "notes.txt", "export.json"}


@pytest.mark.parametrize("at", [0, 1])
def test_killed_while_it_takes_its_place_it_is_done_again(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path / "out", "a", "b").put_in_place({"number": 1})
    real, calls = os.replace, []

    def dies(source: Path, target: Path) -> None:
        if Path(target).parent == tmp_path / "out" and Path(target).name in ("a", "c"):
            calls.append(target)
            if len(calls) > at:
                raise Killed
        real(source, target)

    folder = begun(tmp_path / "out", "a", "c")
    monkeypatch.setattr(export_folder.os, "replace", dies)
    with pytest.raises(Killed):
        folder.put_in_place({"number": 2})
    monkeypatch.undo()
    assert not (tmp_path / "out" / "export.json").exists(), "half an export does not pass for a whole one"
    begun(tmp_path / "out", "a", "c").put_in_place({"number": 3})
    assert files(tmp_path / "out") == {"a", "c", "export.json"}


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"work holds other files \(thesis.tex\); give a new folder, or empty this"):
        ExportFolder(tmp_path / "work", "csv")
    assert files(tmp_path / "work") == {"thesis.tex"}
    begun(tmp_path / "out", "a", form="coco").put_in_place({})
    with pytest.raises(ConfigError, match=r"out holds an export in the form coco"):
        ExportFolder(tmp_path / "out", "csv")
    with pytest.raises(ConfigError, match=r"output_dir: thesis.tex is a file; give a folder"):
        ExportFolder(tmp_path / "work" / "thesis.tex", "csv")
