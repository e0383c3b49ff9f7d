"""Models by their id on the Hugging Face hub: from the client's cache without a network, and from a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub import errors

from labelmine import hub
from labelmine.errors import WeightsError
from labelmine.hub import hub_folder, is_hub_id
from labelmine.prediction import student_folder
from labelmine.weights import weights_path

COMMIT = "a" * 40
CONTENT = {"model.safetensors": b"weights", "config.json": b"{}", "code.py": b"never fetched"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the client's, and a folder without any ``lab/``."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "hub"


@pytest.fixture
def snapshot(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the client keeps of ``lab/polyps``, and no network: its own layout, HF_HUB_OFFLINE=1."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = cache / "models--lab--polyps"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    files = folder / "snapshots" / COMMIT
    files.mkdir(parents=True)
    (files / "model.safetensors").write_bytes(b"weights")
    return files


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("lab/polyps", True), ("lab/polyps-v1.0", True), ("lab", False), ("/lab/polyps", False), ("lab/a/b", False),
        ("./polyps", False), ("~/polyps", False), ("lab/../x", False), ("here/polyps", False), ("C:\\runs/x", False),
    ],
)  # fmt: skip
def test_what_is_an_id_and_what_a_path(name: str, is_id: bool, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert is_hub_id(name) is is_id


def test_students_and_teachers_are_found_in_the_clients_cache(snapshot: Path) -> None:
    assert student_folder("lab/polyps") == snapshot
    assert weights_path("lab/polyps") == snapshot / "model.safetensors"


def test_a_folder_of_that_name_comes_first(snapshot: Path, tmp_path: Path) -> None:
    own = tmp_path / "lab" / "polyps"
    own.mkdir(parents=True)
    (own / "model.safetensors").write_bytes(b"own")
    assert student_folder("lab/polyps") == Path("lab/polyps")
    assert weights_path("lab/polyps").read_bytes() == b"own"


def test_a_mistyped_path_asks_nobody(snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output").mkdir()
    monkeypatch.setattr(hub, "hub_folder", None)
    assert student_folder("output/mime") == Path("output/mime")
    with pytest.raises(WeightsError, match=r"expected a weights file or one of the names .* got 'output/mime'"):
        weights_path("output/mime")


def test_what_cannot_be_had_is_said(snapshot: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"^found no folder 'lab/lungs', nor can a model of that id be had \(.*; check"
    ):
        student_folder("lab/lungs")


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as the client asks for one repository, ``lab/polyps``."""

    asked: list[str] = []  # noqa: RUF012

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        name = path.rpartition("/")[2]
        self.asked.append(f"{self.command} {path}")
        if path.startswith("/api/models/lab/polyps/revision"):
            siblings = [{"rfilename": one} for one in CONTENT]
            self.answer(json.dumps({"id": "lab/polyps", "sha": COMMIT, "siblings": siblings}).encode(), {})
        elif path.startswith("/api/models/lab/polyps/tree"):
            files = [{"type": "file", "path": one, "size": len(text), "oid": "e" * 40} for one, text in CONTENT.items()]
            self.answer(json.dumps(files).encode(), {})
        elif path.startswith("/lab/polyps/resolve/"):
            self.answer(CONTENT[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})
        else:
            self.send_error(404)

    def answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    Hub.asked.clear()
    yield Hub
    server.shutdown()
    server.server_close()


def test_it_is_fetched_once_without_code(server: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub_folder("lab/polyps", ["model.safetensors", "*.json"], "...")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: text for name, text in CONTENT.items() if name != "code.py"
    }
    fetched = [line for line in server.asked if line.startswith("GET /lab")]
    assert len(fetched) == 2
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hub_folder("lab/polyps", ["model.safetensors"], "...") == folder
    assert [line for line in server.asked if line.startswith("GET /lab")] == fetched


def test_an_unknown_repository_is_an_error_of_ours(server: type[Hub]) -> None:
    with pytest.raises(WeightsError, match="lab/lungs") as caught:
        hub_folder("lab/lungs", ["model.safetensors"], "check the id")
    assert isinstance(caught.value.__cause__, errors.RepositoryNotFoundError | OSError)
