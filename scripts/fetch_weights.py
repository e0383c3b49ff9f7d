"""Fetch known weights by name: ``uv run scripts/fetch_weights.py sam_vit_b medsam_vit_b``; without names, list them."""

from __future__ import annotations

import logging
import sys

import fire

from labelmine.errors import LabelmineError
from labelmine.weights import KNOWN_WEIGHTS, sha256_of, weights_path

logger = logging.getLogger("fetch_weights")


def fetch(*names: str, folder: str | None = None) -> None:
    """Fetch weights, going on where an earlier attempt broke off, and log path and sha256.

    Args:
        names: Names to fetch; none to list what is known.
        folder: Where they go; defaults to ``$LABELMINE_WEIGHTS_DIR`` or torch's hub folder.
    """
    if not names:
        for name, known in KNOWN_WEIGHTS.items():
            logger.info("%-16s %-12s %s", name, known.licence, known.url or "ships in models/")
    for name in names:
        path = weights_path(name, folder)
        logger.info("%s  %s", sha256_of(path), path)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        fire.Fire(fetch)
    except LabelmineError as error:
        logger.error("%s: %s", type(error).__name__, error)
        sys.exit(1)
