"""A real PACS and a small stand-in for one that misbehaves, both on this machine alone."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from makers import dicom_file
from pacs_makers import PASSWORD, USER, Answers, says

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a proxy nor the credentials of whoever runs the tests."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"LABELMINE_DICOMWEB_{name}", raising=False)


@pytest.fixture(scope="session")
def ct_series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three slices of one series, of a patient with a name."""
    folder, series = tmp_path_factory.mktemp("ct"), generate_uid()
    for number in range(3):
        dataset = pydicom.dcmread(dicom_file("CT_small.dcm"))
        dataset.PatientName, dataset.PatientID = "Musterfrau^Anna", "4711-secret"
        dataset.StudyInstanceUID = f"{series}.1"[:64]
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series, number + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], -77.2 + 5 * number]
        dataset.save_as(folder / f"{number}.dcm")
    return sorted(folder.iterdir())


@pytest.fixture
def server() -> Iterator[Answers]:
    """A server on a free port of this machine."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append((self.command, self.path, dict(self.headers)))
            answers.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            with suppress(BrokenPipeError, ConnectionResetError):
                (answers.queue.pop(0) if answers.queue else says(500))(self)

        do_POST = do_GET  # noqa: N815 (its own name)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    answers.url = f"http://127.0.0.1:{httpd.server_port}/dicom-web"
    yield answers
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the DICOMweb service of an Orthanc, which asks for a password; it ends with the tests."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.is_file():
        pytest.skip("Orthanc is not here: apt-get install -y orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("orthanc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(PLUGIN)],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/system", process, folder / "orthanc.log")
        yield f"http://127.0.0.1:{port}/dicom-web"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(150):
        assert process.poll() is None, log.read_text()
        try:
            opener.open(url, timeout=2)
        except urllib.error.HTTPError:  # it asks who we are
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())
