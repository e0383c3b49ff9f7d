from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pydicom
import pytest

from labelmine.errors import ConfigError, PacsError
from labelmine.pacs import Pacs, Stored, fetch_study, store_files
from pacs_makers import Answers, breaks_off, says, sleeps

STUDY, SERIES = "1.2.3", "1.2.3.4"


def pacs_at(server: Answers, attempts: int = 3) -> Pacs:
    return Pacs(server.url, attempts=attempts, first_wait=0.01, seconds=(2, 0.4))


def row(**values: str | int) -> dict[str, Any]:
    """A result of a search."""
    dataset = pydicom.Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    found: dict[str, Any] = dataset.to_json_dict()
    return found


def parts(path: Path) -> tuple[bytes, str]:
    """An answer that holds a file, and its media type."""
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n--x--\r\n"
    return body, 'multipart/related; type="application/dicom"; boundary=x'


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path).SOPInstanceUID)


def found(path: Path) -> list[Any]:
    """Answers to the searches that come before an image is fetched, each with the empty page that ends it."""
    series = row(SeriesInstanceUID=SERIES, Modality="CT", SeriesNumber=7)
    image = row(SOPInstanceUID=uid_of(path), InstanceNumber=2)
    return [says(200, [series]), says(200, []), says(200, [image]), says(204)]


def look(server: Answers, pacs: Pacs) -> dict[str, Any]:
    return pacs.search("look", lambda offset: pacs.client.search_for_series(STUDY, offset=offset), "SeriesInstanceUID")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(server: Answers, caplog: pytest.LogCaptureFixture, status: int) -> None:
    server.will(says(status), says(status), says(200, []))
    with caplog.at_level("WARNING"):
        assert look(server, pacs_at(server)) == {}
    assert len(server.asked) == 3
    assert caplog.text.count(f"look: it answered with status {status}; again in") == 2


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "look: wrong credentials, or none"),
        (403, "look: these credentials may not do that"),
        (404, "look: not there"),
        (500, "look: it answered with status 500"),
        (409, "look: it answered with status 409"),
    ],
)
def test_what_stays_is_said_at_once(server: Answers, status: int, message: str) -> None:
    server.will(says(status, b"Patient Anna Musterfrau"))
    with pytest.raises(PacsError, match=message) as caught:
        look(server, pacs_at(server))
    assert len(server.asked) == 1
    assert STUDY not in str(caught.value)
    assert "Anna" not in str(caught.value)


def test_no_answer_in_time(server: Answers) -> None:
    server.will(sleeps(0.9), sleeps(0.9))
    with pytest.raises(PacsError, match="look, 2 times: no answer in time"):
        look(server, pacs_at(server, attempts=2))


def test_nobody_there(server: Answers) -> None:
    address = server.url.replace("/dicom-web", "")
    pacs = Pacs("http://127.0.0.1:9/dicom-web", attempts=2, first_wait=0.01)
    with pytest.raises(PacsError, match=r"PACS at 127.0.0.1:9: look, 2 times: it cannot be reached"):
        look(server, pacs)
    assert address not in pacs.host


@pytest.mark.parametrize("body", [b"<html>log in</html>", b'{"error": 1}', b'[{"0020000D": 3}]', b"[1]"])
def test_another_service_than_dicomweb(server: Answers, body: bytes) -> None:
    server.will(says(200, body, "text/html"))
    with pytest.raises(PacsError, match="is this its address"):
        look(server, pacs_at(server))


@pytest.mark.parametrize("tells_length", [True, False])
@pytest.mark.parametrize("whole_at_last", [True, False])
def test_half_an_answer_is_none(
    server: Answers, ct_series: list[Path], tmp_path: Path, tells_length: bool, whole_at_last: bool
) -> None:
    body, kind = parts(ct_series[0])
    half = breaks_off(body[: len(body) // 2], kind, len(body) if tells_length else None)
    server.will(*found(ct_series[0]), half, says(200, body, kind) if whole_at_last else half)
    pacs = pacs_at(server, attempts=2)
    if not whole_at_last:
        with pytest.raises(PacsError, match="fetch an image, 2 times: the answer broke off"):
            fetch_study(pacs, STUDY, tmp_path)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
        return
    (path,) = fetch_study(pacs, STUDY, tmp_path)
    before, after = pydicom.dcmread(ct_series[0]), pydicom.dcmread(path)
    assert before == after
    assert before.file_meta.TransferSyntaxUID == after.file_meta.TransferSyntaxUID


def test_names_sort_and_hold_no_uid(server: Answers, ct_series: list[Path], tmp_path: Path) -> None:
    server.will(*found(ct_series[0]), says(200, *parts(ct_series[0])))
    (path,) = fetch_study(pacs_at(server), STUDY, tmp_path)
    series, name = path.relative_to(tmp_path).parts
    assert series.startswith("007_")
    assert name.startswith("0002_")
    assert not any(uid in str(path) for uid in (STUDY, SERIES, uid_of(path)))


def test_odd_values_of_a_patient_are_not_warned_of(
    server: Answers, ct_series: list[Path], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    image = pydicom.dcmread(ct_series[0])
    with pydicom.config.disable_value_validation():
        image.PatientID = "Anna" * 30
        image.save_as(tmp_path / "odd.dcm")
    answers = found(tmp_path / "odd.dcm")
    odd = {**row(SOPInstanceUID=uid_of(ct_series[0])), "00100020": {"vr": "LO", "Value": ["Anna" * 30]}}
    answers[2] = says(200, [odd])
    server.will(*answers, says(200, *parts(tmp_path / "odd.dcm")))
    (path,) = fetch_study(pacs_at(server), STUDY, tmp_path / "fetched")
    server.will(says(200, [odd]))
    store_files(pacs_at(server), [path])
    assert not [str(warning.message) for warning in recwarn if "Anna" in str(warning.message)]


@pytest.mark.parametrize("part", [b"<html>no</html>", b"", b"\0" * 128 + b"DICM" + b"\2\0\0"])
def test_a_part_that_is_no_dicom(server: Answers, ct_series: list[Path], tmp_path: Path, part: bytes) -> None:
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n--x--\r\n"
    server.will(*found(ct_series[0]), says(200, body, "multipart/related; boundary=x"))
    with pytest.raises(PacsError):
        fetch_study(pacs_at(server), STUDY, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_another_image_than_was_asked_for(server: Answers, ct_series: list[Path], tmp_path: Path) -> None:
    server.will(*found(ct_series[0]), says(200, *parts(ct_series[1])))
    with pytest.raises(PacsError, match="another image than was asked for"):
        fetch_study(pacs_at(server), STUDY, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_only_series_with_images_are_fetched(server: Answers, tmp_path: Path) -> None:
    rows = [row(SeriesInstanceUID=f"1.{n}", Modality=kind) for n, kind in enumerate(("SEG", "SR"), start=1)]
    server.will(says(200, rows), says(200, []))
    with pytest.raises(PacsError, match="expected images in the study, found series of: SEG, SR"):
        fetch_study(pacs_at(server), STUDY, tmp_path)
    server.will(says(200, rows), says(200, []))
    with pytest.raises(PacsError, match="expected the series, with images; it has none in the study"):
        fetch_study(pacs_at(server), STUDY, tmp_path, series="1.1")


def test_a_search_goes_on_until_nothing_is_new(server: Answers) -> None:
    pages = [[row(SeriesInstanceUID="1.1"), row(SeriesInstanceUID="1.2")], [row(SeriesInstanceUID="1.3")], []]
    server.will(*(says(200, page) for page in pages))
    assert list(look(server, pacs_at(server))) == ["1.1", "1.2", "1.3"]
    assert [path.partition("offset=")[2] for _, path, _ in server.asked] == ["0", "2", "3"]
    server.will(says(200, pages[0]), says(200, pages[0]))  # a service that knows no offset
    assert list(look(server, pacs_at(server))) == ["1.1", "1.2"]


def posts(server: Answers) -> int:
    return sum(method == "POST" for method, _, _ in server.asked)


def test_a_file_that_is_there_is_not_stored(server: Answers, ct_series: list[Path]) -> None:
    server.will(says(200, [row(SOPInstanceUID=uid_of(ct_series[0]))]))
    assert store_files(pacs_at(server), ct_series[:1]) == Stored(stored=0, present=1)
    assert posts(server) == 0


def test_after_a_time_out_it_looks_before_it_stores_again(server: Answers, ct_series: list[Path]) -> None:
    server.will(says(200, []), sleeps(0.9), says(200, [row(SOPInstanceUID=uid_of(ct_series[0]))]))
    assert store_files(pacs_at(server), ct_series[:1]) == Stored(stored=0, present=1)
    assert posts(server) == 1


def test_a_second_attempt_sends_the_whole_file(server: Answers, ct_series: list[Path]) -> None:
    server.will(says(200, []), says(503), says(200, []), says(200, {}))
    assert store_files(pacs_at(server), ct_series[:1]) == Stored(stored=1, present=0)
    first, second = (body for (method, _, _), body in zip(server.asked, server.bodies, strict=True) if method == "POST")
    assert first == second
    start = second.index(b"\r\n\r\n") + 4
    sent = pydicom.dcmread(BytesIO(second[start : second.rindex(b"\r\n--")]))
    assert sent == pydicom.dcmread(ct_series[0])


def test_a_search_that_matches_too_much_proves_nothing(server: Answers, ct_series: list[Path]) -> None:
    server.will(says(200, [row(SOPInstanceUID="1.2.9")]), says(200, {}))  # a service that ignores the filter
    assert store_files(pacs_at(server), ct_series[:1]) == Stored(stored=1, present=0)


def test_a_file_that_is_refused(server: Answers, ct_series: list[Path]) -> None:
    refusal = pydicom.Dataset()
    refusal.FailureReason = 0xC122
    answer = pydicom.Dataset()
    answer.FailedSOPSequence = [refusal]
    server.will(says(200, []), says(202, answer.to_json_dict()))
    with pytest.raises(PacsError, match="store a result: it was refused, reason C122H"):
        store_files(pacs_at(server), ct_series[:1])
    assert posts(server) == 1


def authorization(server: Answers) -> str | None:
    server.will(says(200, []))
    look(server, pacs_at(server))
    return server.asked[-1][2].get("Authorization")


def test_credentials_come_from_the_environment_or_netrc(
    server: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert authorization(server) is None
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login anna password netrc-secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert authorization(server) == "Basic " + base64.b64encode(b"anna:netrc-secret").decode()
    monkeypatch.setenv("LABELMINE_DICOMWEB_TOKEN", "abc")
    assert authorization(server) == "Bearer abc"
    monkeypatch.delenv("LABELMINE_DICOMWEB_TOKEN")
    monkeypatch.setenv("LABELMINE_DICOMWEB_USER", "bea")
    with pytest.raises(ConfigError, match="or neither"):
        pacs_at(server)
    monkeypatch.setenv("LABELMINE_DICOMWEB_PASSWORD", "pässword")
    assert authorization(server) == "Basic " + base64.b64encode("bea:pässword".encode()).decode()
    monkeypatch.setenv("LABELMINE_DICOMWEB_TOKEN", "abc")
    with pytest.raises(ConfigError, match="Got: all of them"):
        pacs_at(server)


def test_nothing_tells_the_credentials(
    server: Answers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LABELMINE_DICOMWEB_TOKEN", "s3cret")
    server.will(says(503), says(401))
    with caplog.at_level("DEBUG"), pytest.raises(PacsError) as caught:
        look(server, pacs_at(server))
    error: BaseException | None = caught.value
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert "s3cret" not in f"{error!r}{caplog.text}"
    assert STUDY not in f"{error!r}{caplog.text}"


@pytest.mark.parametrize("url", ["https://anna:s3cret@pacs.example/dicom-web", "https://anna@pacs.example"])
def test_an_address_with_credentials_is_refused_without_them(url: str) -> None:
    with pytest.raises(ConfigError, match="without user and password") as caught:
        Pacs(url)
    assert "anna" not in str(caught.value)


@pytest.mark.parametrize("url", ["pacs.example/dicom-web", "ftp://pacs.example", "https://", "https://a/b?c=d"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="expected an address such as"):
        Pacs(url)


def test_credentials_without_tls_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        Pacs("http://127.0.0.1:8042/dicom-web")
        assert not caplog.messages
        Pacs("http://pacs.example/dicom-web")
    assert "PACS at pacs.example: no TLS" in caplog.text


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dicomweb_client.web", None)
    with pytest.raises(ConfigError, match=r'pip install "labelmine\[pacs\]"'):
        Pacs("https://pacs.example/dicom-web")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes a certificate, is not here")
def test_a_certificate_must_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-keyout", key, "-out", certificate, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            says(200, [])(self)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"https://127.0.0.1:{httpd.server_port}/dicom-web"
    try:
        with pytest.raises(PacsError, match=r"look: its TLS certificate is not trusted; .* REQUESTS_CA_BUNDLE"):
            look(Answers(), Pacs(url))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert look(Answers(), Pacs(url)) == {}
    finally:
        httpd.shutdown()
        httpd.server_close()
