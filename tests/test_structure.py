"""The order of the package's rooms, read from its imports: no room imports upward, no modules import in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bundle" / "labelmine"
#: Modules beside the rooms that any room may import; they import only one another.
FOUNDATION = {
    "",
    "atomic",
    "bundle",
    "checksums",
    "download",
    "errors",
    "extras",
    "hub",
    "journal",
    "progress",
    "ranges",
    "ranks",
    "weights",
}
#: Which other rooms each room may import. Only training and workflows may import handlers; nothing imports workflows.
#: A workflow's own room, workflows/<name>, may import what workflows may, and another workflow only with a line here.
MAY_IMPORT = {
    "data": "",
    "losses": "",
    "networks": "",
    "pacs": "",
    "prompts": "",
    "quality": "",
    "run": "",
    "transforms": "",
    "evaluation": "data",
    "deployment": "data evaluation networks run",
    "exchange": "data evaluation",
    "teachers": "prompts",
    "pretrain": "networks transforms",
    "studies": "data evaluation",
    "synthesis": "data evaluation networks",
    "report": "data evaluation studies synthesis",
    "labelers": "data networks prompts quality run teachers transforms",
    "handlers": "data labelers networks quality transforms",
    "training": "data exchange handlers losses networks pretrain run teachers transforms",
    "prediction": "data deployment evaluation exchange labelers networks quality report run training transforms",
    "review": "data exchange labelers prediction prompts quality run teachers transforms",
    "workflows": (
        "data deployment evaluation exchange handlers labelers losses networks pacs prediction pretrain prompts "
        "quality report review run studies synthesis teachers training transforms"
    ),
}
#: Programs: they may import everything, and only one another imports them.
PROGRAMS = {"__main__", "cli"}


def imports_of(package: Path) -> Iterator[tuple[str, str]]:
    """Pairs of a module and one of the package that it imports, anywhere in its code; both as ``data.items``."""
    modules = {_name(file, package): file for file in sorted(package.rglob("*.py"))}
    for module, file in modules.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{module}: relative import"
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if _inner(name) in modules else node.module for name in inside]
            yield from ((module, _inner(name)) for name in names if name.split(".")[0] == "labelmine")


def room_of(module: str, package: Path) -> str:
    """The room that a module is in, ``workflows/<name>`` for a workflow's own; its own name where it is in none."""
    parts = module.split(".")
    own = parts[0] == "workflows" and len(parts) > 1 and (package / parts[0] / parts[1]).is_dir()
    return "/".join(parts[:2]) if own else parts[0]


def allowed(room: str, package: Path) -> set[str]:
    """What a room may import besides itself."""
    if room in FOUNDATION:
        return FOUNDATION
    rooms = " ".join(MAY_IMPORT.get(key, "") for key in {room, room.split("/")[0]}).split()
    own = [f"workflows/{path.name}" for path in package.glob("workflows/*") if room == "workflows"]
    return FOUNDATION | {*rooms, *own}


def complaints(package: Path) -> list[str]:
    """What is wrong with the order of a package's rooms."""
    found = []
    for module, target in imports_of(package):
        room, other = room_of(module, package), room_of(target, package)
        if room not in FOUNDATION | PROGRAMS and room.split("/")[0] not in MAY_IMPORT:
            found.append(f"{room}: a new room; say in MAY_IMPORT what it may import")
        elif room not in {other, *PROGRAMS} and other not in allowed(room, package):
            found.append(f"{module} imports {target}: {room} may not import {other}")
    return found


def circle(package: Path) -> list[str]:
    """Modules that import one another in a circle, the first one again at the end; empty where there is none."""
    graph: dict[str, set[str]] = {}
    for module, target in imports_of(package):
        graph.setdefault(module, set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


def test_rooms_import_only_what_they_may() -> None:
    assert complaints(PACKAGE) == []


def test_no_modules_import_in_a_circle() -> None:
    assert circle(PACKAGE) == []


def test_the_relation_itself_has_no_circle_and_keeps_handlers_and_workflows_high() -> None:
    relation = {room: set(others.split()) for room, others in MAY_IMPORT.items()}
    TopologicalSorter(relation).prepare()
    assert {other for others in relation.values() for other in others} <= relation.keys()
    assert {room for room, others in relation.items() if "handlers" in others} == {"training", "workflows"}
    assert not [room for room, others in relation.items() if "workflows" in others and "/" not in room]


def write(package: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("data/items.py", "import labelmine.workflows", "data.items imports workflows: data may not import workflows"),
        ("errors.py", "from labelmine.data import Item", "errors imports data: errors may not import data"),
        ("labelers/a.py", "def f():\n    from labelmine import handlers", "labelers may not import handlers"),
        ("attic/a.py", "import labelmine.errors", "attic: a new room; say in MAY_IMPORT what it may import"),
        ("workflows/study/a.py", "import labelmine.workflows.mine.b", "workflows/study may not import workflows/mine"),
        ("data/a.py", "import labelmine.__main__", "data may not import __main__"),
    ],
)
def test_an_import_upward_is_found(name: str, text: str, complaint: str, tmp_path: Path) -> None:
    rooms = ("data", "handlers", "workflows", "workflows/mine")
    package = write(tmp_path, {f"{room}/__init__.py": "" for room in rooms} | {"__init__.py": "", name: text})
    (found,) = complaints(package)
    assert found.endswith(complaint)


def test_what_is_allowed_is_not_complained_of(tmp_path: Path) -> None:
    files = {
        "__init__.py": "from labelmine.bundle import bundle_root",
        "__main__.py": "import labelmine.workflows",
        "workflows/__init__.py": "from labelmine.workflows.mine import Mine",
        "workflows/mine/__init__.py": "from labelmine.workflows.mine.a import Mine",
        "workflows/mine/a.py": "import torch\nfrom labelmine import __version__\nfrom labelmine.handlers import Ema",
        "handlers/__init__.py": "from labelmine.errors import ConfigError",
    }
    assert complaints(write(tmp_path, files)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    files = {
        "data/__init__.py": "from labelmine.data.a import A",
        "data/a.py": "from labelmine.data import b",
        "data/b.py": "def f():\n    from labelmine.data import A",
    }
    assert set(circle(write(tmp_path, files))) == {"data", "data.a", "data.b"}


def _name(file: Path, package: Path) -> str:
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _inner(name: str) -> str:
    return name.removeprefix("labelmine").removeprefix(".")
