"""Known weights, resumable downloads, and loading without running code."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from labelmine import weights
from labelmine.bundle import bundle_root
from labelmine.download import download
from labelmine.errors import WeightsError
from labelmine.weights import (
    KNOWN_WEIGHTS,
    KnownWeights,
    load_state_dict_safely,
    sha256_of,
    weights_path,
    write_weights,
)

CONTENT = bytes(range(256)) * 1000
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A server with Range support that can break off, or ignore Range, on demand."""

    daemon_threads = True
    ranges = True
    break_at: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.break_at])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def known(server: Server, monkeypatch: pytest.MonkeyPatch) -> KnownWeights:
    one = KnownWeights("weights.pth", server.url, SHA256)
    monkeypatch.setattr(weights, "KNOWN_WEIGHTS", MappingProxyType({"test": one}))
    return one


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.trace),))


# -- names and paths ---------------------------------------------------------------------------------------------------


def test_download_is_found_again_without_a_second_request(server: Server, known: KnownWeights, tmp_path: Path) -> None:
    path = weights_path("test", tmp_path / "cache")
    assert path == tmp_path / "cache" / known.file
    assert path.read_bytes() == CONTENT
    assert weights_path("test", tmp_path / "cache") == path
    assert server.asked == [None]
    assert [file.name for file in path.parent.iterdir()] == ["weights.pth"]


@pytest.mark.usefixtures("known")
def test_environment_moves_the_download_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELMINE_WEIGHTS_DIR", str(tmp_path / "here"))
    assert weights_path("test").parent == tmp_path / "here"
    monkeypatch.delenv("LABELMINE_WEIGHTS_DIR")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert weights.download_folder() == tmp_path / "torch" / "hub" / "labelmine"


def test_path_of_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "sam_vit_b").touch()
    assert weights_path(tmp_path / "sam_vit_b") == tmp_path / "sam_vit_b"


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        WeightsError, match=r"one of the names compact, .*medsam_vit_b, got 'sam_vit_x', which is neither"
    ):
        weights_path("sam_vit_x")


def test_shipped_weights_lie_in_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KNOWN_WEIGHTS["compact"].url is None
    monkeypatch.setattr(weights, "bundle_root", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"shipped weights 'compact' at .*models/compact.safetensors, found no file"):
        weights_path("compact")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "compact.safetensors").touch()
    assert weights_path("compact") == tmp_path / "models" / "compact.safetensors"


@pytest.mark.parametrize("name", [name for name, known in KNOWN_WEIGHTS.items() if known.url])
def test_downloads_are_official_https_addresses_with_a_digest(name: str) -> None:
    known = KNOWN_WEIGHTS[name]
    assert known.url is not None
    assert known.url.startswith("https://")
    assert known.url.endswith("/" + known.file)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", known.digest or "")


# -- download ----------------------------------------------------------------------------------------------------------


def test_broken_download_keeps_what_came_and_goes_on_there(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    server.break_at = 1000
    with pytest.raises(
        WeightsError, match=r"could not download .*1000 of 256000 bytes\. 1000 bytes are kept in .*\.part"
    ):
        download(server.url, target, SHA256)
    assert not target.exists()
    assert target.with_name("weights.pth.part").read_bytes() == CONTENT[:1000]
    server.break_at = None
    assert download(server.url, target, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]
    assert not target.with_name("weights.pth.part").exists()


def test_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "weights.pth.part").write_bytes(b"x" * 1000)
    assert download(server.url, tmp_path / "weights.pth", MD5).read_bytes() == CONTENT


def test_complete_part_needs_only_the_check(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "weights.pth", SHA256).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_wrong_hash_removes_the_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected sha256 0000.*got another content; the file was removed"):
        download(server.url, tmp_path / "weights.pth", "sha256:" + "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_unreachable_server_says_how_to_go_on(server: Server, tmp_path: Path) -> None:
    url = server.url.replace(str(server.server_address[1]), "9")
    with pytest.raises(
        WeightsError, match=r"could not download .*fetch the file elsewhere and save it as .*weights.pth"
    ):
        download(url, tmp_path / "weights.pth", timeout=5.0)


def test_file_address(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    (tmp_path / "target.part").write_bytes(b"left over")
    assert download((tmp_path / "source").as_uri(), tmp_path / "target", SHA256).read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=r"could not download file:.*missing"):
        download((tmp_path / "missing").as_uri(), tmp_path / "other")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(CONTENT).hexdigest()


# -- loading -----------------------------------------------------------------------------------------------------------


def test_safetensors_with_metadata(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3.0)}, tmp_path / "w.safetensors", {"trained_on": "phantoms"})
    tensors, metadata = load_state_dict_safely(tmp_path / "w.safetensors")
    assert tensors["a"].tolist() == [0, 1, 2]
    assert metadata == {"trained_on": "phantoms"}


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    """safetensors draws the order of metadata anew for each file, so a fit made again seemed another one."""
    tensors = {"b": torch.arange(3), "a": torch.rand(2, 3)}
    about = {"teacher": "compact", "sha256": "abc", "format": 'é "x"', "recipe": "{}"}
    for n in range(9):
        write_weights(tmp_path / f"{n}.safetensors", tensors, dict(reversed(about.items())) if n % 2 else about)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    state, known = load_state_dict_safely(tmp_path / "0.safetensors")
    assert known == about
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_torch_checkpoints(tmp_path: Path, key: str | None, zipped: bool) -> None:
    state = torch.nn.Linear(2, 1).state_dict()
    content = {key: state, "epoch": 3} if key else state
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    tensors, metadata = load_state_dict_safely(tmp_path / "w.pth")
    assert set(tensors) == {"weight", "bias"}
    assert torch.equal(tensors["weight"], state["weight"])
    assert metadata == {}


@pytest.mark.parametrize("how", ["torch", "torch_legacy", "pickle"])
def test_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path, how: str) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "executed"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"a": Evil(trace)}))
    else:
        torch.save({"a": Evil(trace)}, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(
        WeightsError, match=r"refused .*evil.pth: .*any code.*save model.state_dict\(\) as .safetensors"
    ):
        load_state_dict_safely(path)
    assert not trace.exists()
    # The same file does run its code when loaded the unsafe way; else this test would prove nothing.
    torch.load(path, weights_only=False) if how != "pickle" else pickle.loads(path.read_bytes())
    assert trace.exists()


def test_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(WeightsError, match="refused"):
        load_state_dict_safely(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", ["pth", "legacy.pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_says_so(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"w.{suffix}"
    state = {"a": torch.zeros(1000)}
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == "pth")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(WeightsError, match=r"(?s)w\..*fetch it again"):
        load_state_dict_safely(path)


@pytest.mark.parametrize("text", ["hello", "<html>404</html>", "version https://git-lfs.github.com/spec/v1"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_text_is_no_weights_file(tmp_path: Path, text: str, suffix: str) -> None:
    (tmp_path / f"w.{suffix}").write_text(text)
    with pytest.raises(WeightsError, match="truncated or no weights file"):
        load_state_dict_safely(tmp_path / f"w.{suffix}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], r"expected tensors by name in .*got list"),
        ({}, r"expected tensors by name"),
        ({"a": torch.zeros(1), "epoch": 3}, r"got int under 'epoch'"),
    ],
)
def test_checkpoint_without_a_state_dict(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        load_state_dict_safely(tmp_path / "w.pth")


def test_missing_file_lists_known_names(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"missing.pth, found none; known names: compact, .*medsam_vit_b"):
        load_state_dict_safely(tmp_path / "missing.pth")


@pytest.mark.shared
def test_real_weights_load(shared_data: Path) -> None:
    files = sorted((shared_data / "weights").glob("*.safetensors"))
    networks = {file.name.partition("_imagenet")[0]: load_state_dict_safely(file)[0] for file in files}
    assert networks
    for name, tensors in networks.items():
        prefix = ("features.",) if name == "mobilenet_v2" else ("blocks.", "conv_stem.", "conv_head.", "bn1.", "bn2.")
        assert tensors
        assert all(key.startswith(prefix) for key in tensors), name


def test_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        KNOWN_WEIGHTS["new"] = replace(KNOWN_WEIGHTS["compact"])  # type: ignore[index]
    assert bundle_root().is_dir()
