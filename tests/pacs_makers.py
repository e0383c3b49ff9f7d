"""What a stand-in for a PACS answers, for tests: ``from pacs_makers import says``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

USER, PASSWORD = "labelmine", "öpen-Sesame-77"


@dataclass
class Answers:
    """A server that answers as told, and remembers what it was asked."""

    url: str = ""
    queue: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def will(self, *answers: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.queue += answers


def says(status: int, body: Any = b"", kind: str = "application/dicom+json") -> Callable[..., None]:
    """An answer of a status with a body, JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def breaks_off(data: bytes, kind: str, length: int | None) -> Callable[..., None]:
    """A part of an answer, after which the connection closes; its true length may be told before."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def sleeps(seconds: float) -> Callable[..., None]:
    """No answer in time."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return answer
