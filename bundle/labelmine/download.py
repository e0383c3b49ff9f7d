"""Downloading a weights file: resumable, checked, and atomic.

MONAI's ``download_url``, ``torch.hub`` and pooch check hashes but start again from the first byte after a broken
connection, which hurts with files of gigabytes; only the resuming is written here.
"""

from __future__ import annotations

import http.client
import logging
import os
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from monai.apps.utils import check_hash

from labelmine.errors import WeightsError
from labelmine.progress import ProgressLine

logger = logging.getLogger(__name__)

_BLOCK = 1 << 20
_RANGE_NOT_SATISFIABLE = 416


def download(url: str, target: Path, digest: str | None = None, *, timeout: float = 60.0) -> Path:
    """Fetch a file, going on where an earlier attempt broke off.

    What has arrived is kept beside the target as ``<name>.part`` and takes the target's name only when complete and
    verified.

    Args:
        url: ``https://``, ``http://`` or ``file://`` address.
        target: Where the file goes; its folder is made.
        digest: Expected hash as ``sha256:<hex>`` or ``md5:<hex>``; None leaves the content unchecked.
        timeout: Seconds without an answer from the server before giving up.

    Returns:
        ``target``.

    Raises:
        WeightsError: The server cannot be reached, the transfer broke off, or the content has another hash (the bad
            file is removed then).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _receive(url, part, timeout)
    except (URLError, OSError, http.client.HTTPException) as error:
        kept = f"{_size(part)} bytes are kept in {part} and the next try goes on from there. " if _size(part) else ""
        raise WeightsError(
            f"could not download {url}: {error}. {kept}Without a network, fetch the file elsewhere and save it as "
            f"{target}"
        ) from error
    _verify(part, url, digest)
    os.replace(part, target)
    logger.info("downloaded %s to %s", url, target)
    return target


def _receive(url: str, part: Path, timeout: float) -> None:
    """Append to ``part`` what is missing of ``url``."""
    offset = _size(part)
    headers = {"User-Agent": "labelmine"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if offset and error.code == _RANGE_NOT_SATISFIABLE:
            # Nothing is left to send: an earlier run got all of it and was stopped before the check.
            return
        raise
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT if urlsplit(url).scheme != "file" else False
        offset = offset if resumed else 0  # a server that ignores Range sends the whole file again
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file, ProgressLine(part.stem, "B", total, offset) as line:
            while block := response.read(_BLOCK):
                file.write(block)
                line.update(len(block))
    if total is not None and _size(part) < total:
        raise ConnectionError(f"the connection closed after {_size(part)} of {total} bytes")


def _verify(part: Path, url: str, digest: str | None) -> None:
    if digest is None:
        return
    kind, _, expected = digest.partition(":")
    if not check_hash(part, expected, kind):
        part.unlink()
        raise WeightsError(
            f"expected {kind} {expected} of {url}, got another content; the file was removed. Try again; if it "
            "happens again, the file at that address has changed: get it from a source you trust and give its path"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
