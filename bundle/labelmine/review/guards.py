"""Who may talk to the page's server: this machine's own page, with the token of its address; nobody else."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Largest body of a request in bytes: a corrected mask as PNG in JSON.
MAX_BODY = 16 * 2**20
#: Nothing but the page's own files, and nothing that a name in them could smuggle in.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Refuse requests without the token, from other pages, or with too large a body; set headers that keep others out.

    The token comes in the address once; the page is then known by a cookie that no other site can have sent.

    Args:
        app: What is guarded.
        token: The secret of the address.
        cookie: Name of the cookie; cookies do not tell ports apart, so it differs from server to server.
    """

    def __init__(self, app: App, token: str, cookie: str) -> None:
        """Keep the secret."""
        self.app = app
        self.token = token
        self.cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (refusal or self._bounded)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["path"] == "/" and "token" in parse_qs(scope["query_string"].decode("latin-1")):
            return self._admission(scope)
        if not self._is_known(headers):
            return PlainTextResponse("Open the page by the address that the terminal shows, token included.", 401)
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("Requests of other sites are refused.", 403)
        if scope["method"] != "GET" and not _same_origin(headers):
            return PlainTextResponse("Requests of other sites are refused.", 403)
        if int(headers.get("content-length") or 0) > MAX_BODY:
            return PlainTextResponse(f"The body is larger than {MAX_BODY} bytes.", 413)
        return None

    def _admission(self, scope: Scope) -> Response:
        """Take the token out of the address, where it would stay in the browser's history."""
        (given, *_) = parse_qs(scope["query_string"].decode("latin-1"))["token"]
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return PlainTextResponse("The token is of another start; take the address that the terminal shows.", 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
        return answer

    def _is_known(self, headers: Headers) -> bool:
        try:
            jar = SimpleCookie(headers.get("cookie", ""))
        except Exception:  # whatever someone sent, it is no cookie of ours
            return False
        given = jar[self.cookie].value if self.cookie in jar else ""
        return secrets.compare_digest(given.encode(), self.token.encode())

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes of a body that does not say how long it is."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return {"type": "http.disconnect"} if taken > MAX_BODY else message

        await self.app(scope, counted, send)


def _same_origin(headers: Headers) -> bool:
    """Whether the page that sent a request is the one that this server gave out."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sent
