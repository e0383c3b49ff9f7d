"""What the package imports is what it asks for: a user's environment holds nothing else."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from labelmine.bundle import bundle_root

PROJECT = tomllib.loads((bundle_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def imported() -> dict[str, str]:
    """Top-level modules that the package imports, each with a file that does."""
    found: dict[str, str] = {}
    for file in sorted((bundle_root() / "bundle" / "labelmine").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.split(".")[0]: file.name for name in names}
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, "labelmine"}}


def test_every_import_is_a_dependency() -> None:
    asked = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    declared = {canonicalize_name(Requirement(line).name) for line in asked}
    provided = {name: {canonicalize_name(one) for one in by} for name, by in packages_distributions().items()}
    missing = {name: file for name, file in imported().items() if not provided.get(name, {name}) & declared}
    assert missing == {}, "add these to dependencies in pyproject.toml"
