"""Whose a segmentation is: the patient and study of its images, or a pseudonym and fresh UIDs."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from labelmine.atomic import write_whole

#: Attributes of an image that say nothing of the patient.
_IMPERSONAL = (
    "Modality",
    "Rows",
    "Columns",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "SliceThickness",
    "SpacingBetweenSlices",
)
METHOD = "labelmine: UIDs replaced, patient and study left out"


class Identity:
    """Patient, study and UIDs as the images have them."""

    def uid(self, uid: str) -> str:
        """Return the UID that stands for one of an image's."""
        return uid

    def attributes(self, header: Dataset) -> Dataset:
        """Return the attributes of an image from which patient, study and equipment are taken over."""
        return header

    def declare(self, written: Dataset) -> None:
        """Say in an object whether the patient was removed."""


class Pseudonym(Identity):
    """Nobody's: fresh UIDs, the same for one UID throughout a run, and no attribute of patient, study or hospital.

    Args:
        key: Secret from which UIDs and pseudonyms are derived; who has it can tell which image a segmentation is of.
    """

    def __init__(self, key: bytes) -> None:
        """Keep the key."""
        self._key = key

    @classmethod
    def kept_in(cls, path: Path) -> Pseudonym:
        """Take up the key of a run, or begin one that only its owner can read."""
        if not path.is_file():
            write_whole(path, secrets.token_hex(32).encode())
            os.chmod(path, 0o600)
        return cls(path.read_bytes())

    def uid(self, uid: str) -> str:
        """Return the fresh UID."""
        return str(generate_uid(entropy_srcs=[self._key.decode(), uid]))

    def attributes(self, header: Dataset) -> Dataset:
        """Return a pseudonym, and what says nothing of the patient."""
        kept = Dataset()
        for name in _IMPERSONAL:
            if name in header:
                kept[name] = header[name]
        patient = str(header.get("PatientID") or header.get("StudyInstanceUID"))
        kept.PatientID = kept.PatientName = sha256(self._key + patient.encode()).hexdigest()[:16]
        return kept

    def declare(self, written: Dataset) -> None:
        """Say that the patient was removed."""
        written.PatientIdentityRemoved, written.DeidentificationMethod = "YES", METHOD
