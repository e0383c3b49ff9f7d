"""Who asks a PACS: told by the environment or by ``~/.netrc``, never by a knob, so that no log or file holds it."""

from __future__ import annotations

import os
from typing import Any

from labelmine.errors import ConfigError

USER, PASSWORD, TOKEN = (f"LABELMINE_DICOMWEB_{name}" for name in ("USER", "PASSWORD", "TOKEN"))


class BearerToken:
    """Adds a token to each request; as ``auth`` of a session it is not replaced by what ``~/.netrc`` says."""

    def __init__(self, token: str) -> None:
        """Keep it."""
        self._token = token

    def __call__(self, request: Any) -> Any:
        """Return the request with the token in its header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def credentials() -> tuple[bytes, bytes] | BearerToken | None:
    """Return what the environment says; None: nothing, so that requests looks into ``~/.netrc`` (or ``NETRC``).

    Raises:
        ConfigError: A user without a password, a password without a user, or both a user and a token.
    """
    user, password, token = (os.environ.get(name) for name in (USER, PASSWORD, TOKEN))
    if (user is None) != (password is None):
        raise ConfigError(f"expected both {USER} and {PASSWORD} in the environment, or neither. Got: one of them")
    if user is not None and token is not None:
        raise ConfigError(f"expected {USER} and {PASSWORD}, or {TOKEN}, in the environment. Got: all of them")
    if token is not None:
        return BearerToken(token)
    # As bytes: requests would encode text as Latin-1, which not all passwords are.
    return None if user is None or password is None else (user.encode(), password.encode())
