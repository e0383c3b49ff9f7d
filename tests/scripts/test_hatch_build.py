"""What the package's metadata take from elsewhere when it is built."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.licenses import canonicalize_license_expression

from labelmine.bundle import bundle_root

ADDRESS = "https://host.example/team/labelmine"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", bundle_root() / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(hook: ModuleType, root: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = {"version": "1.2.3"}
    hook.ProjectAddress(str(root), {}).update(metadata)
    return metadata


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_bytes((bundle_root() / "README.md").read_bytes())
    (tmp_path / "CITATION.cff").write_bytes((bundle_root() / "CITATION.cff").read_bytes())
    return tmp_path


def test_with_an_address_no_link_of_the_readme_is_relative(hook: ModuleType, project: Path) -> None:
    with (project / "CITATION.cff").open("a") as citation:
        citation.write(f'repository-code: "{ADDRESS}/"\n')
    metadata = built(hook, project)
    text = metadata["readme"]["text"]
    assert f"]({ADDRESS}/raw/v1.2.3/docs/images/pseudo_label.png)" in text
    assert f"]({ADDRESS}/blob/v1.2.3/CONTRIBUTING.md)" in text
    assert re.findall(r"\]\((?!https?://)", text) == []
    assert metadata["urls"]["Source"] == ADDRESS


def test_without_an_address_the_readme_stays_as_it_is(hook: ModuleType, project: Path) -> None:
    metadata = built(hook, project)
    assert metadata["readme"]["text"] == (project / "README.md").read_text()
    assert metadata["urls"] == {}


def test_the_licence_says_that_the_weights_are_for_research() -> None:
    stated = tomllib.loads((bundle_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert canonicalize_license_expression(stated["license"]) == stated["license"]
    assert "Research" in stated["license"]
    assert all((bundle_root() / name).is_file() for name in stated["license-files"])
    assert not [one for one in stated["classifiers"] if one.startswith("License")], "PEP 639 has the expression instead"
