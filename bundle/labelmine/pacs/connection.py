"""Talking to a PACS: each request has a time-out, is tried again where that may help, and fails with one clear line.

Of dicomweb-client the requests, their encodings and their parsing are taken, but not its retries: those send the
rest of a request that was already read, and do not know an answer that broke off.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError

from labelmine.errors import ConfigError, PacsError
from labelmine.extras import extra
from labelmine.pacs.credentials import PASSWORD, TOKEN, USER, credentials

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
ATTEMPTS = 4
FIRST_WAIT = 1.0  # seconds before the second attempt; it doubles from one to the next
#: Answers that may be better the next time: time-out, too many requests, gateways, a busy service.
PASSING = frozenset({408, 425, 429, 502, 503, 504})


class Pacs:
    """A DICOMweb service.

    TLS certificates are checked, against ``REQUESTS_CA_BUNDLE`` where it names a file. Errors and log name host and
    port alone.

    Args:
        url: Address of the service, for example ``https://pacs.example/dicom-web``.
        attempts: How often a request is made at most.
        first_wait: Seconds before the second attempt.
        seconds: Until a connection stands, and until a next byte arrives.

    Raises:
        ConfigError: No such address, one with a password in it, incomplete credentials, or dicomweb-client is missing.
    """

    def __init__(
        self,
        url: str,
        attempts: int = ATTEMPTS,
        first_wait: float = FIRST_WAIT,
        seconds: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
    ) -> None:
        """Make a session; nothing is sent yet."""
        web, requests = (extra(module, "pacs", "dicomweb needs") for module in ("dicomweb_client.web", "requests"))
        parts = _checked(url)
        self.host = parts.netloc
        session = requests.Session()
        session.auth = credentials()
        if parts.scheme == "http" and not _is_here(parts.hostname or ""):
            logger.warning("PACS at %s: no TLS (http://), so images and credentials travel as they are", self.host)
        for name in ("dicomweb_client", "urllib3"):  # their messages hold UIDs
            logging.getLogger(name).setLevel(logging.ERROR)
        self.client = web.DICOMwebClient(
            url.rstrip("/"),
            session=session,
            callback=_refuse_half,
            timeout=seconds,
            permissive_uid=True,  # UIDs with leading zeros and the like are out there, and what the PACS gave it takes
            chunk_size=1 << 31,  # bodies in one piece, with their length: not every gateway takes chunks
        )
        self.client.set_http_retry_params(retry=False)
        self.attempts = attempts
        self.first_wait = first_wait

    def ask(self, what: str, request: Callable[[], T]) -> T:
        """Make a request, again where that may help.

        Args:
            what: What it is for, for errors and log: no name, number or UID.
            request: Makes it, by ``client``.

        Raises:
            PacsError: It cannot be reached, refuses, or answers with something else.
        """
        from requests import RequestException

        for attempt in range(1, self.attempts + 1):
            try:
                with disable_value_validation():  # whose warnings would show values of the patient's attributes
                    return request()
            except PacsError:
                raise
            except RequestException as error:
                reason, again = _reason(error)
            except (ValueError, KeyError, EOFError, InvalidDicomError) as error:
                reason, again = f"the answer is not DICOMweb ({type(error).__name__}); is this its address?", False
            if not again or attempt == self.attempts:
                break
            wait = self.first_wait * 2 ** (attempt - 1)
            logger.warning("PACS at %s: %s: %s; again in %.0f s", self.host, what, reason, wait)
            time.sleep(wait)
        tried = f", {attempt} times" if attempt > 1 else ""
        # Without its cause: that knows the request, and so the credentials.
        raise PacsError(f"PACS at {self.host}: {what}{tried}: {reason}") from None

    def search(self, what: str, page: Callable[[int], list[dict[str, Any]]], key: str) -> dict[str, Dataset]:
        """Return all results of a search, by the UID that ``key`` names, also of services that give a part at a time.

        Args:
            what: See ``ask``.
            page: Searches from an offset on.
            key: DICOM keyword.
        """
        found: dict[str, Dataset] = {}
        while True:
            offset = len(found)
            rows = self.ask(what, lambda offset=offset: parsed(page(offset)))  # type: ignore[misc]
            new: Mapping[str, Dataset] = {str(row[key].value): row for row in rows if key in row}
            if new.keys() <= found.keys():  # at the end, or the service knows no offset
                return found
            found |= new


def parsed(rows: Any) -> list[Dataset]:
    """Return the results of a search, which come as JSON.

    Raises:
        ValueError: They are something else.
    """
    try:
        return [Dataset.from_json(row) for row in rows]
    except (AttributeError, TypeError, KeyError, ValueError, BytesLengthException) as error:
        raise ValueError("results of a search are no DICOM JSON") from error


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "dicomweb: expected an address without user and password, which would be kept in files. Give them as "
            f"{USER} and {PASSWORD} (or {TOKEN}) in the environment, or in ~/.netrc"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"dicomweb: expected an address such as https://pacs.example/dicom-web. Got: '{url}'")
    return parts


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_half(response: Any, **_: Any) -> None:
    """Refuse an answer of parts whose last boundary is missing; whoever closes the connection may say no length."""
    from requests.exceptions import ChunkedEncodingError

    kind = response.headers.get("Content-Type", "")
    if response.ok and kind.startswith("multipart/") and not response.content.rstrip().endswith(b"--"):
        raise ChunkedEncodingError("the answer broke off", response=response)


def _reason(error: Any) -> tuple[str, bool]:
    """Say in words of ours what went wrong, and whether to try again; requests' own words hold the whole address."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError):
        return _of_status(error.response.status_code)
    if isinstance(error, exceptions.SSLError):
        return "its TLS certificate is not trusted; name your authority's file in REQUESTS_CA_BUNDLE", False
    if isinstance(error, exceptions.Timeout):
        return "no answer in time", True
    if isinstance(error, exceptions.ChunkedEncodingError | exceptions.ContentDecodingError):
        return "the answer broke off", True
    if isinstance(error, exceptions.JSONDecodeError):
        return "the answer is not DICOMweb (no JSON); is this its address?", False
    if isinstance(error, exceptions.ConnectionError):
        return "it cannot be reached; check address, port and network", True
    return f"the request failed ({type(error).__name__})", False


def _of_status(status: int) -> tuple[str, bool]:
    if status in (401, 403):
        told = "wrong credentials, or none" if status == 401 else "these credentials may not do that"
        return f"{told} (status {status}); see {USER}, {PASSWORD}, {TOKEN} or ~/.netrc", False
    if status == 404:
        return "not there (status 404): is this the address of its DICOMweb service, and the right UID?", False
    return f"it answered with status {status}", status in PASSING
