"""The page's server: a thin layer of addresses over a review session (extra ``labelmine[review]``)."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labelmine.errors import DataError
from labelmine.review.guards import Guard
from labelmine.review.pictures import from_stacked_png, stacked_png, tidied
from labelmine.review.session import LAYERS, ConflictError, ReviewSession, reviewer_name

logger = logging.getLogger(__name__)

PAGE_FILES = {
    "page.html": "text/html",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
    "page.js": "text/javascript",
    "editor.js": "text/javascript",
    "viewer.js": "text/javascript",
    "masks.js": "text/javascript",
    "server.js": "text/javascript",
}
LOCAL_HOSTS = ("127.0.0.1", "localhost")
Answerer = Callable[[ReviewSession, Request, Any], Response]


def build_app(session: ReviewSession, token: str, cookie: str, hosts: tuple[str, ...] = LOCAL_HOSTS) -> Starlette:
    """Return the application.

    No address holds more than a case's place in the ranking, so there is no name to be guessed or to break out of.

    Args:
        session: What is reviewed.
        token: Secret that the page's address must hold.
        cookie: Name of the cookie that stands for it afterwards.
        hosts: Names that the server goes by; requests to any other are refused (DNS rebinding).
    """
    case = "/api/case/{place:int}"
    routes = [
        Route("/", _file("page.html")),
        *(Route(f"/static/{name}", _file(name)) for name in PAGE_FILES if name != "page.html"),
        Route("/api/overview", _get(session, _overview)),
        Route("/api/progress", _get(session, _progress)),
        Route("/api/sizes", _get(session, _sizes)),
        Route(case, _get(session, _case)),
        Route(f"{case}/image.png", _get(session, _image)),
        Route(f"{case}/thumbnail.jpg", _get(session, _thumbnail)),
        *(Route(f"{case}/{layer}.png", _get(session, _layer)) for layer in LAYERS),
        Route(f"{case}/prepare", _post(session, _prepare), methods=["POST"]),
        Route(f"{case}/ask", _post(session, _ask), methods=["POST"]),
        Route(f"{case}/tidy", _post(session, _tidy), methods=["POST"]),
        Route(f"{case}/decide", _post(session, _decide), methods=["POST"]),
    ]
    guards = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        Middleware(Guard, token=token, cookie=cookie),
    ]
    return Starlette(routes=routes, middleware=guards)


def _file(name: str) -> Callable[[Request], Response]:
    content = files("labelmine.review").joinpath("page", name).read_bytes()

    def answer(_: Request) -> Response:
        return Response(content, media_type=PAGE_FILES[name])

    return answer


def _get(session: ReviewSession, answer: Callable[[ReviewSession, Request], Response]) -> Callable[[Request], Response]:
    def answered(request: Request) -> Response:
        try:
            return answer(session, request)
        except DataError as error:
            # A reader's words may name a file; the terminal is the user's own.
            logger.warning("%s", error)
            return JSONResponse({"error": "This image or its label cannot be read; see the terminal."}, 404)

    return answered


def _post(session: ReviewSession, answer: Answerer) -> Callable[[Request], Any]:
    async def answered(request: Request) -> Response:
        try:
            said = json.loads(await request.body() or b"{}")
            if not isinstance(said, dict):
                raise DataError("expected a JSON object")
            return await run_in_threadpool(answer, session, request, said)
        except ClientDisconnect:
            return JSONResponse({"error": "too large, or broken off"}, 413)
        except ConflictError as error:
            return JSONResponse({"error": str(error)}, 409)
        except (DataError, ValueError, RecursionError) as error:
            told = str(error) if isinstance(error, DataError) else "expected JSON"
            return JSONResponse({"error": told}, 400)

    return answered


def _place(request: Request) -> int:
    return int(request.path_params["place"])


def _reviewer(request: Request) -> str:
    return reviewer_name(unquote(request.headers.get("x-reviewer", "")))


def _overview(session: ReviewSession, request: Request) -> Response:
    return JSONResponse(session.overview(_reviewer(request)))


def _progress(session: ReviewSession, request: Request) -> Response:
    return JSONResponse(session.progress(_reviewer(request)))


def _sizes(session: ReviewSession, _: Request) -> Response:
    return JSONResponse(session.cases.sizes)


def _case(session: ReviewSession, request: Request) -> Response:
    return JSONResponse(session.case(_place(request), _reviewer(request)))


def _image(session: ReviewSession, request: Request) -> Response:
    session.cases[_place(request)]
    return _png(session.cases.picture(_place(request)).png)


def _thumbnail(session: ReviewSession, request: Request) -> Response:
    session.cases[_place(request)]
    return Response(session.cases.thumbnail(_place(request)), media_type="image/jpeg")


def _layer(session: ReviewSession, request: Request) -> Response:
    layer = request.url.path.rpartition("/")[2].removesuffix(".png")
    mask = session.layer(_place(request), layer, _reviewer(request))  # type: ignore[arg-type]  # routes name no other
    return Response(status_code=204) if mask is None else _png(stacked_png(mask))


def _prepare(session: ReviewSession, request: Request, _: dict[str, Any]) -> Response:
    session.prepare(_place(request))
    return Response(status_code=204)


def _ask(session: ReviewSession, request: Request, said: dict[str, Any]) -> Response:
    answer = session.ask(_place(request), said)
    times = {"x-encode-seconds": f"{answer.encode_seconds:.4f}", "x-decode-seconds": f"{answer.decode_seconds:.4f}"}
    return _png(stacked_png(answer.mask[None]), {**times, "x-predicted-iou": f"{answer.predicted_iou:.4f}"})


def _tidy(session: ReviewSession, request: Request, said: dict[str, Any]) -> Response:
    if said.get("how") not in ("smooth", "fill"):
        raise DataError("how: expected 'smooth' or 'fill'")
    mask = _mask(said, (1, *session.cases.label(_place(request)).shape[1:]))
    return _png(stacked_png(tidied(mask, said["how"])))


def _decide(session: ReviewSession, request: Request, said: dict[str, Any]) -> Response:
    place = _place(request)
    mask = _mask(said, session.cases.label(place).shape) if said.get("mask") else None
    reviewer = _reviewer(request)
    decision = session.decide(place, {**said, "reviewer": reviewer}, mask)
    return JSONResponse({"verdict": decision.verdict, "dice": decision.dice, **session.progress(reviewer)})


def _mask(said: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """Read a mask that came as base64 in JSON."""
    try:
        content = base64.b64decode(str(said.get("mask")), validate=True)
    except binascii.Error as error:
        raise DataError("mask: expected base64 of a PNG file") from error
    return from_stacked_png(content, (shape[0], shape[1], shape[2]))


def _png(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, media_type="image/png", headers=headers)
