"""Opening the page: an address with a token on this machine, until Ctrl-C."""

from __future__ import annotations

import logging
import secrets
import socket
import webbrowser
from contextlib import suppress

from labelmine.errors import ConfigError
from labelmine.review.session import ReviewSession

logger = logging.getLogger(__name__)

MISSING = "the page needs starlette and uvicorn: pip install 'labelmine[review]' (folders for other tools: --budget 20)"
#: Bytes of the token.
SECRET = 24


def require_server() -> None:
    """Say at once that the extra is missing.

    Raises:
        ConfigError: It is.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(MISSING) from error


def serve(session: ReviewSession, host: str = "127.0.0.1", port: int = 0, browser: bool = True) -> None:
    """Serve the page until the process is stopped; nothing is lost by that.

    Args:
        session: What is reviewed.
        host: Address to listen at, and besides 127.0.0.1 the only name that requests may be for.
        port: 0: any that is free.
        browser: Whether to open it in the user's browser.

    Raises:
        ConfigError: The extra is missing, or the address cannot be had.
    """
    require_server()
    import uvicorn

    from labelmine.review.server import LOCAL_HOSTS, build_app

    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise ConfigError(f"host, port: cannot listen at {host}:{port} ({error.strerror}). Give another") from error
    token, port = secrets.token_urlsafe(SECRET), listening.getsockname()[1]
    app = build_app(session, token, f"labelmine_{port}", tuple(dict.fromkeys([host, *LOCAL_HOSTS])))
    address = f"http://{host}:{port}/?token={token}"
    logger.info("%d labels to review: %s", len(session.cases), address)
    logger.info("Ctrl-C stops the page; what was decided is saved as it happens")
    if browser:
        with suppress(webbrowser.Error):
            webbrowser.open(address)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, server_header=False))
    with listening:
        server.run(sockets=[listening])
