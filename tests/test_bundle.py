"""The bundle's folder, its version, and that it is quick to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import labelmine
from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError


def test_root_of_the_checkout_holds_the_configs() -> None:
    assert (bundle_root() / "configs" / "metadata.json").is_file()
    assert (bundle_root() / "LICENSE").is_file()


def test_root_is_found_in_a_wheel_and_beside_an_unpacked_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "labelmine"
    monkeypatch.setattr("labelmine.bundle.__file__", str(package / "bundle.py"))
    with pytest.raises(ConfigError, match=r"expected configs/metadata.json in one of .*reinstall"):
        bundle_root()
    for expected in (tmp_path / "site", package / "_bundle"):
        (expected / "configs").mkdir(parents=True)
        (expected / "configs" / "metadata.json").touch()
        assert bundle_root() == expected


def test_version_is_stated_without_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise labelmine.PackageNotFoundError(name)

    installed = labelmine.__version__
    monkeypatch.setattr(labelmine, "version", missing)
    assert labelmine._find_version() == installed


def test_import_is_light() -> None:
    code = "import sys, labelmine; sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
