"""A PACS over DICOMweb: images come from it (QIDO-RS, WADO-RS), results go to it (STOW-RS)."""

from labelmine.pacs.connection import Pacs
from labelmine.pacs.fetching import fetch_study
from labelmine.pacs.storing import Stored, store_files

__all__ = ["Pacs", "Stored", "fetch_study", "store_files"]
