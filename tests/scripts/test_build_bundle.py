"""The release zip."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import monai.bundle
import pytest

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError
from makers import loaded_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded_script("build_bundle")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {
        "LICENSE": "Apache",
        "configs/metadata.json": '{"version": "1.2.3"}',
        "configs/train.yaml": "epochs: 3\nrate: 1.0e-4\nrun: ['$@epochs']\n",
        "configs/inference.yaml": "refine: true\n",
        "models/a.safetensors": "weights",
        "docs/README.md": "docs",
        "docs/.hidden": "hidden",
        "bundle/labelmine/__init__.py": "",
        "bundle/labelmine/data/items.py": "",
        "bundle/labelmine/__pycache__/items.pyc": "",
        "tests/test_a.py": "",
        "pyproject.toml": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_zip_holds_package_beside_configs_and_nothing_else(script: ModuleType, repository: Path) -> None:
    target = script.build_bundle(repository)
    assert target == repository / "dist" / "labelmine_v1.2.3.zip"
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == [
            "LICENSE",
            "configs/inference.json",
            "configs/inference.yaml",
            "configs/metadata.json",
            "configs/train.json",
            "configs/train.yaml",
            "docs/README.md",
            "labelmine/__init__.py",
            "labelmine/data/items.py",
            "models/a.safetensors",
        ]
        assert json.loads(archive.read("configs/train.json")) == {"epochs": 3, "rate": 1.0e-4, "run": ["$@epochs"]}


def test_two_builds_give_the_same_bytes(script: ModuleType, repository: Path) -> None:
    first = script.build_bundle(repository).read_bytes()
    for file in repository.rglob("*.py"):
        file.touch()
    assert script.build_bundle(repository, out_dir="again").read_bytes() == first


OWN = """
initialize:
  - {_target_: package_beside_the_configs.begin}
run: ["$1"]
"""


def test_a_config_finds_the_package_beside_it_from_any_folder(
    script: ModuleType, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "configs" / "own.yaml").write_text(OWN)
    content = dict(script.bundle_files(repository))
    unpacked, elsewhere = tmp_path / "unpacked", tmp_path / "elsewhere"
    for folder in (unpacked / "configs", elsewhere):
        folder.mkdir(parents=True)
    (unpacked / "package_beside_the_configs.py").write_text("def begin(): pass")
    (unpacked / "configs" / "metadata.json").write_text('{"version": "1.2.3", "network_data_format": {}}')
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for text, found in ((OWN.encode(), False), (content["configs/own.yaml"], True)):
        (unpacked / "configs" / "own.yaml").write_bytes(text)
        try:
            monai.bundle.run(config_file=str(unpacked / "configs" / "own.yaml"), logging_file=False)
        except ModuleNotFoundError:
            assert not found
        else:
            assert found


def test_base_folder_holds_everything_for_the_zoo(script: ModuleType, repository: Path) -> None:
    with zipfile.ZipFile(script.build_bundle(repository, base_folder="labelmine")) as archive:
        assert all(name.startswith("labelmine/") for name in archive.namelist())
        assert "labelmine/labelmine/__init__.py" in archive.namelist()


@pytest.mark.parametrize("name", ["LICENSE", "configs/train.yaml"])
def test_missing_file_is_named(script: ModuleType, repository: Path, name: str) -> None:
    (repository / name).unlink()
    with pytest.raises(ConfigError, match=f"{name}, found none"):
        script.build_bundle(repository)


def test_this_repository_ships_no_data_and_no_tests(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "TWINS", ())
    names = [name for name, _ in script.bundle_files(bundle_root())]
    assert {name.split("/")[0] for name in names} <= {"LICENSE", "configs", "models", "docs", "labelmine"}
    assert {"configs/metadata.json", "docs/README.md", "labelmine/bundle.py", "labelmine/py.typed"} <= set(names)
    assert not [name for name in names if name.startswith("models/") and name.endswith(".py")]
    assert "models/model.pt" in names, "monai.bundle.load, MONAI Label and the zoo's checks look for no other"
