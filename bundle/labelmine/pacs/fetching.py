"""A study's images, from a PACS into a folder: each is written whole, and what is there is not fetched again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmwrite

from labelmine.atomic import write_whole
from labelmine.errors import PacsError
from labelmine.pacs.connection import Pacs
from labelmine.progress import ProgressLine

logger = logging.getLogger(__name__)

#: Modalities whose series hold no images, or what was drawn on some: earlier results must not become gold.
NO_IMAGES = frozenset(
    {"ANN", "AR", "AU", "DOC", "ECG", "EPS", "FID", "HD", "KER", "KO", "LEN", "M3D", "PLAN", "PR", "REG", "RESP"}
    | {"RTDOSE", "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SEG", "SMR", "SR", "SRF", "STAIN", "TEXTUREMAP", "VA"}
)


def fetch_study(pacs: Pacs, study: str, folder: Path, series: str | None = None) -> list[Path]:
    """Fetch the images of a study, or of one series of it, into ``<series>/<image>.dcm``.

    Names are numbers and hashes of UIDs: scanners put dates and patients' numbers into UIDs too.

    Args:
        pacs: Where from.
        study: Study Instance UID.
        folder: Where to.
        series: Series Instance UID; None: every series that holds images.

    Returns:
        All images, those included that an earlier run fetched.

    Raises:
        PacsError: No such images, or what ``Pacs.ask`` raises.
    """
    images = {
        folder / _name(row, "SeriesNumber", 3, uid): _images(pacs, study, uid)
        for uid, row in _series(pacs, study, series).items()
    }
    wanted = {
        place / f"{_name(row, 'InstanceNumber', 4, uid)}.dcm": (uid, str(row.SeriesInstanceUID))
        for place, rows in images.items()
        for uid, row in rows.items()
    }
    missing = {path: uids for path, uids in wanted.items() if not path.is_file()}
    if len(missing) < len(wanted):
        logger.info("%d of %d images are here already", len(wanted) - len(missing), len(wanted))
    with ProgressLine("fetch", total=len(missing)) as line:
        for path, (image, of_series) in missing.items():
            write_whole(path, _fetched(pacs, study, of_series, image))
            line.update()
    return sorted(wanted)


def _series(pacs: Pacs, study: str, series: str | None) -> Mapping[str, Dataset]:
    client = pacs.client
    found = pacs.search(
        "look for series", lambda offset: client.search_for_series(study, offset=offset), "SeriesInstanceUID"
    )
    if not found:
        raise PacsError(f"PACS at {pacs.host}: study: expected the Study Instance UID of a study there, found none")
    images = {uid: row for uid, row in found.items() if str(row.get("Modality", "")) not in NO_IMAGES}
    chosen = {uid: row for uid, row in images.items() if series in (None, uid)}
    if not chosen:
        known = ", ".join(sorted({str(row.get("Modality", "unknown")) for row in found.values()}))
        which = (
            "images" if series is None else f"the series, with images{'' if series not in found else '; it has none'}"
        )
        raise PacsError(f"PACS at {pacs.host}: expected {which} in the study, found series of: {known}")
    return chosen


def _images(pacs: Pacs, study: str, series: str) -> dict[str, Dataset]:
    client = pacs.client
    found = pacs.search(
        "look for images", lambda offset: client.search_for_instances(study, series, offset=offset), "SOPInstanceUID"
    )
    for row in found.values():
        row.SeriesInstanceUID = series
    return found


def _fetched(pacs: Pacs, study: str, series: str, image: str) -> bytes:
    """Return an image as a DICOM file, in the transfer syntax that the PACS keeps."""

    def request() -> bytes:
        dataset = pacs.client.retrieve_instance(study, series, image)
        if str(dataset.get("SOPInstanceUID")) != image:
            raise PacsError(f"PACS at {pacs.host}: fetch an image: it answered with another image than was asked for")
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
        return buffer.getvalue()

    return pacs.ask("fetch an image", request)


def _name(row: Dataset, number: str, digits: int, uid: str) -> str:
    """``0007_1f2e3d4c5b6a``: a number to sort by, where there is one, and what tells apart."""
    digest = hashlib.sha256(uid.encode()).hexdigest()[:12]
    value = row.get(number)
    return digest if value is None else f"{int(value):0{digits}d}_{digest}"
