"""Results into a PACS: what is there already is not stored again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from labelmine.errors import PacsError
from labelmine.pacs.connection import Pacs, parsed
from labelmine.progress import progress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """What became of files.

    Attributes:
        stored: Number of those that went to the PACS.
        present: Number of those that it had.
    """

    stored: int
    present: int


def store_files(pacs: Pacs, files: Iterable[Path]) -> Stored:
    """Store DICOM files, each unless the PACS has it.

    It is asked before every attempt: after a time-out the file may have arrived all the same.

    Raises:
        PacsError: It refuses a file, or what ``Pacs.ask`` raises.
    """
    new = []
    for path in progress(list(files), "store", "file"):
        dataset = dcmread(path)
        new.append(pacs.ask("store a result", lambda dataset=dataset: _store(pacs, dataset)))  # type: ignore[misc]
    found = Stored(stored=sum(new), present=len(new) - sum(new))
    logger.info("PACS at %s: %d results stored, %d were there already", pacs.host, found.stored, found.present)
    return found


def _store(pacs: Pacs, dataset: Dataset) -> bool:
    """Store a file unless it is there; tell whether it was stored."""
    study, uid = str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)
    there = pacs.client.search_for_instances(
        study, str(dataset.SeriesInstanceUID), search_filters={"SOPInstanceUID": uid}
    )
    if any(str(row.get("SOPInstanceUID")) == uid for row in parsed(there)):
        return False
    answer = pacs.client.store_instances([dataset], study)
    for failed in answer.get("FailedSOPSequence", []):
        raise PacsError(
            f"PACS at {pacs.host}: store a result: it was refused, reason {int(failed.get('FailureReason', 0)):04X}H "
            "(see PS3.18, table 10.5.3-1; 0110H: processing failure, A7xxH: out of resources, C1xxH: cannot understand)"
        )
    return True
