from __future__ import annotations

import os
import shutil
import tempfile
from collections import namedtuple
from contextlib import nullcontext
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from labelmine.data import SetAside, find_items
from labelmine.data.image_set import prepare_image_set
from labelmine.data.writable import require_short, require_writable, unwritable
from labelmine.errors import DataError

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("affine", "is_refused_late"),
    [
        (np.diag([np.nan, 1, 1, 1]), True),
        (np.diag([np.inf, 1, 1, 1]), True),
        (np.diag([0, 1, 1, 1]), True),
        (np.ones((4, 4)) * [1, 1, 1, 0], False),  # three axes in one direction: written, and of no use
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_affines_that_no_mask_can_have(tmp_path: Path, affine: np.ndarray, is_refused_late: bool) -> None:
    volume = nib.Nifti1Image(np.ones((4, 4, 3), np.int16), np.eye(4))
    raw = bytearray(volume.to_bytes())
    raw[280:328] = affine[:3].astype("<f4").tobytes()
    path = tmp_path / "a.nii"
    path.write_bytes(raw)
    late = pytest.raises(nib.spatialimages.HeaderDataError) if is_refused_late else nullcontext()
    with late:
        nib.Nifti1Image(np.ones((4, 4, 3), np.uint8), nib.load(path).affine).to_bytes()
    assert "its affine has no inverse or holds no numbers (NaN)" in str(unwritable("a", path, 3))
    nib.save(volume, tmp_path / "good.nii")
    assert unwritable("good", tmp_path / "good.nii", 3) is None


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("L", (6, 4)).save(tmp_path / "images" / "plain.png")
    content = (tmp_path / "images" / "plain.png").read_bytes()
    try:
        with open(os.fsencode(tmp_path / "images") + b"/caf\xe9.png", "wb") as file:
            file.write(content)
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    (tmp_path / "images" / ("x" * 250 + ".png")).write_bytes(content)
    rows: list[SetAside] = []
    assert [item["id"] for item in find_items(tmp_path, set_aside=rows)] == ["plain"]
    assert {row.id[:4]: row.reason[:40] for row in rows} == {
        "caf\\": "its name, or that of its folder, holds b",
        "xxxx": "its name is too long to name results by:",
    }
    for row in rows:
        f"{row.id}{row.path}".encode()


def test_an_output_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"output_dir: .*file/out cannot be written to \(Not a directory\); give a folder"
    ):
        require_writable(tmp_path / "file" / "out")
    with pytest.raises(DataError, match="the name holds bytes that are no UTF-8; choose another"):
        require_writable(tmp_path / "caf\udce9")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9 - 10**6, 10**6))
        with pytest.raises(DataError, match="has 1 MB left, expected 100 MB or more; make room"):
            require_writable(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", _full)
        with pytest.raises(DataError, match=r"cannot be written to \(No space left on device\)"):
            require_writable(tmp_path)


def _full(dir: Path) -> None:
    raise OSError(28, "No space left on device")


def test_paths_that_are_too_long(tmp_path: Path) -> None:
    require_short(["a/b"], tmp_path)
    with pytest.raises(DataError, match=r"paths of results would be up to 4[0-9]+ bytes long, expected at most 4096"):
        require_short(["a/" * 2000], tmp_path)


def test_a_run_stops_before_it_looks_at_images(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"output_dir: .*out cannot be written to \(File exists\)"):
        prepare_image_set(str(tmp_path / "nowhere"), str(tmp_path / "out"))
