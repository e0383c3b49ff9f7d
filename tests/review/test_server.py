"""The server without a browser: what it answers, and what it refuses."""

from __future__ import annotations

import base64
import http.client
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelmine.errors import ConfigError
from labelmine.review import ReviewSession, serve, serving
from labelmine.review.guards import MAX_BODY
from labelmine.review.pictures import from_stacked_png, stacked_png

SIZE = (1, 96, 96)


@pytest.fixture
def served(session: ReviewSession, serve_page: Callable[..., Any]) -> Any:
    return serve_page(session)


def mask_of(content: bytes) -> np.ndarray:
    return from_stacked_png(content, SIZE)


def said(served: Any, place: int, verdict: str, **more: Any) -> dict[str, Any]:
    about = served.json("GET", f"/api/case/{place}")
    facts = {"seen": about["seen"], "label_sha256": about["label_sha256"], "seconds": 3}
    return {"verdict": verdict, **facts, **more}


def test_what_the_page_gets(session: ReviewSession, served: Any) -> None:
    everything = served.json("GET", "/api/overview")
    assert [one["id"] for one in everything["cases"]] == [f"case_{n}" for n in range(6)]
    assert everything["classes"] == ["foreground"]
    assert everything["cases"][0]["expected"] == 0.5
    about = served.json("GET", "/api/case/0")
    assert (about["width"], about["height"], about["deep"], about["seen"]) == (96, 96, False, 0)
    assert (mask_of(served.ask("GET", "/api/case/0/label.png")[1]) == session.cases.label(0)).all()
    gold = mask_of(served.ask("GET", "/api/case/0/gold.png")[1])
    assert (gold & session.cases.label(0)).sum() == session.cases.label(0).sum() < gold.sum()
    assert mask_of(served.ask("GET", "/api/case/0/student.png")[1]).shape == SIZE
    assert served.ask("GET", "/api/case/0/decided.png")[0] == 204
    with Image.open(io.BytesIO(served.ask("GET", "/api/case/0/image.png")[1])) as image:
        assert (image.size, image.mode) == ((96, 96), "RGB")
    with Image.open(io.BytesIO(served.ask("GET", "/api/case/5/thumbnail.jpg")[1])) as image:
        assert max(image.size) <= 112


def test_a_correction_is_kept_and_asked_of_the_teacher(session: ReviewSession, served: Any) -> None:
    status, content, headers = served.ask("POST", "/api/case/0/ask", {"box": [10, 10, 50, 60]})
    assert status == 200
    answer = mask_of(content)
    assert float(headers["x-decode-seconds"]) > 0
    again = served.ask("POST", "/api/case/0/ask", {"box": [10, 10, 50, 60]})
    assert (mask_of(again[1]) == answer).all()
    assert float(again[2]["x-encode-seconds"]) < float(headers["x-encode-seconds"])
    filled = served.ask("POST", "/api/case/0/tidy", {"how": "fill", "mask": sent(answer)})
    assert mask_of(filled[1]).sum() >= answer.sum()
    correction = said(served, 0, "corrected", mask=sent(answer), prompts=[{"class": 0, "box": [10, 10, 50, 60]}])
    told = served.json("POST", "/api/case/0/decide", correction)
    assert told["counts"] == {"corrected": 1}
    (kept,) = session.log.decisions
    assert (session.log.mask(kept) == answer).all()
    assert (kept.reviewer, kept.prompts, kept.seconds) == ("ann", [{"class": 0, "box": [10, 10, 50, 60]}], 3)
    assert (mask_of(served.ask("GET", "/api/case/0/decided.png")[1]) == answer).all()


def sent(mask: np.ndarray) -> str:
    return base64.b64encode(stacked_png(mask)).decode()


def test_two_windows_and_two_reviewers(session: ReviewSession, served: Any) -> None:
    first, second = said(served, 1, "accepted"), said(served, 1, "rejected")
    assert served.ask("POST", "/api/case/1/decide", first)[0] == 200
    status, content, _ = served.ask("POST", "/api/case/1/decide", second)
    assert (status, json.loads(content)["error"][:25]) == (409, "decided in another window")
    assert served.ask("POST", "/api/case/1/decide", second, x_reviewer="bob")[0] == 200  # who has not seen it
    standing = session.log.standing()["case_1"]
    assert {name: one.verdict for name, one in standing.items()} == {"ann": "accepted", "bob": "rejected"}
    assert served.json("GET", "/api/progress")["agreement"] == {"n": 1, "same": 0, "dice": None}
    stale = {**said(served, 2, "accepted"), "label_sha256": "another"}
    assert served.ask("POST", "/api/case/2/decide", stale)[0] == 409


@pytest.mark.parametrize(
    ("status", "method", "path", "changed"),
    [
        (401, "GET", "/", {"cookie": None}),
        (401, "GET", "/api/overview", {"cookie": "page=guess"}),
        (401, "GET", "/?token=guess", {"cookie": None}),
        (400, "GET", "/api/overview", {"host": "evil.example"}),
        (400, "GET", "/?token=secret", {"host": "127.0.0.1.evil.example:80"}),
        (403, "GET", "/api/case/0/image.png", {"sec_fetch_site": "cross-site"}),
        (403, "GET", "/api/case/0/image.png", {"sec_fetch_site": "same-site"}),
        (403, "POST", "/api/case/0/decide", {"origin": "http://evil.example"}),
        (403, "POST", "/api/case/0/decide", {"origin": "null"}),
        (403, "POST", "/api/case/0/decide", {"origin": None}),
        (413, "POST", "/api/case/0/decide", {"content_length": str(MAX_BODY + 1)}),
        (404, "GET", "/api/case/..%2f..%2fetc%2fpasswd", {}),
        (404, "GET", "/api/case/../../../etc/passwd", {}),
        (404, "GET", "/static/..%2fserver.py", {}),
        (404, "GET", "/static/../server.py", {}),
        (404, "GET", "/api/case/-1/image.png", {}),
        (404, "GET", "/api/case/6/image.png", {}),
        (404, "GET", "/api/case/99999999999999999999999999/image.png", {}),
        (404, "GET", "/api/case/0/weights.png", {}),
        (405, "POST", "/api/overview", {}),
    ],
)
def test_what_is_refused(status: int, method: str, path: str, changed: dict[str, Any], one_page: Any) -> None:
    body = b"{}" if method == "POST" and "content_length" not in changed else None
    got, content, headers = one_page.ask(method, path, body, **changed)
    assert got == status, content
    assert b"root:" not in content
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    ("path", "said_", "told"),
    [
        ("ask", {}, "a positive point or a box"),
        ("ask", {"points": [[500, 3]], "point_labels": [1]}, "inside the image of 96 x 96"),
        ("ask", {"points": [[3, 3]] * 65, "point_labels": [1] * 65}, "up to 64 points"),
        ("ask", {"points": "x", "point_labels": [1]}, "of numbers"),
        ("ask", {"points": [[1, 2]], "point_labels": [{}]}, "a label of 1 or 0"),
        ("ask", {"box": [9, 9, 3, 3]}, "x0 < x1"),
        ("ask", {"box": 5}, "of numbers"),
        ("ask", {"box": [1, 2, 3]}, "of numbers"),
        ("tidy", {"how": "eval"}, "expected 'smooth' or 'fill'"),
        ("tidy", {"how": "fill", "mask": "%%%"}, "base64"),
        ("decide", {"verdict": "__class__"}, "expected one of accepted"),
        ("decide", {"verdict": "corrected"}, "expected with 'corrected'"),
        ("decide", {"verdict": "rejected", "mask": "AAAA"}, "expected a PNG file"),
        ("decide", b"[1, 2]", "a JSON object"),
        ("decide", b"{" * 100_000, "expected JSON"),
        ("decide", b"\xff\xfe", "expected JSON"),
    ],
)
def test_what_makes_no_sense_is_said(path: str, said_: Any, told: str, one_page: Any) -> None:
    status, content, _ = one_page.ask("POST", f"/api/case/0/{path}", said_)
    assert (status, told in json.loads(content)["error"]) == (400, True), content


@pytest.mark.parametrize("size", [(96, 192), (9_000, 9_000), (100_000, 100_000)])
def test_a_mask_of_another_size_is_refused_before_it_is_decoded(size: tuple[int, int], one_page: Any) -> None:
    small = stacked_png(np.zeros(SIZE, bool))
    header = b"IHDR" + struct.pack(">II", *size) + small[24:29]
    claimed = small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]
    correction = said(one_page, 0, "corrected", mask=base64.b64encode(claimed).decode())
    status, told, _ = one_page.ask("POST", "/api/case/0/decide", correction)
    assert (status, b"expected 96 x 96 pixels" in told or b"DecompressionBomb" in told) == (400, True), told


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(one_page: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", one_page.port, timeout=20)
    host = f"127.0.0.1:{one_page.port}"
    headers = {"cookie": "page=secret", "origin": f"http://{host}", "host": host, "transfer-encoding": "chunked"}
    chunks = (b" " * 2**20 for _ in range(MAX_BODY // 2**20 + 2))
    try:
        connection.request("POST", "/api/case/0/decide", chunks, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):  # it hung up before all was sent
        pass
    finally:
        connection.close()


def test_no_name_but_the_id_is_in_any_address_or_answer(
    served: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [served.ask("GET", path)[1].decode() for path in ("/", "/api/overview", "/api/case/0", "/api/progress")]
    (tmp_path / "set" / "images" / "case_4.png").unlink()
    texts.append(served.ask("GET", "/api/case/4/image.png")[1].decode())
    assert "cannot be read" in texts[-1]
    for text in [*texts, caplog.text]:
        assert str(tmp_path) not in text
        assert "http://" not in text.replace("http://www.w3.org", "")


def test_without_a_teacher_brush_and_eraser_are_left(
    make_session: Callable[..., ReviewSession], serve_page: Callable[..., Any]
) -> None:
    served = serve_page(make_session(with_teacher=False))
    assert served.json("GET", "/api/overview")["teacher"] == ""
    status, content, _ = served.ask("POST", "/api/case/0/ask", {"box": [1, 1, 9, 9]})
    assert (status, "brush and eraser" in json.loads(content)["error"]) == (400, True)
    assert served.ask("POST", "/api/case/0/prepare")[0] == 204


def test_a_missing_extra_and_a_taken_port_are_said(
    session: ReviewSession, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=rf"host, port: cannot listen at 127.0.0.1:{served.port}"):
        serve(session, port=served.port, browser=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"pip install 'labelmine\[review\]'"):
        serving.require_server()
