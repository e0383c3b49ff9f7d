"""What a run of ``mine.yaml`` found about its teacher, fitted to gold: whoever takes its students asks the same one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from labelmine.checksums import require_sound
from labelmine.errors import DataError
from labelmine.labelers.base import Labeler
from labelmine.labelers.prompted import PromptedLabeler
from labelmine.run.files import FITTED_FILE, FITTED_FOLDER
from labelmine.teachers.fitted import load_fitted

AnyLabeler = TypeVar("AnyLabeler", bound=Labeler)

#: Name of the decoder that labels in the end; those of folds are named as their students' folders are.
DECODER = "decoder"


def kept_decoder(folder: str | Path, name: str = DECODER) -> Path | None:
    """Return the file of the decoder that a run fitted and keeps; None where it fitted none or found no gain.

    Args:
        folder: Output folder of the run.
        name: ``DECODER``, or the name of a fold.

    Raises:
        DataError: What the run says of it is damaged, or the decoder is missing.
    """
    fitted = Path(folder).expanduser() / FITTED_FOLDER
    verdict, path = fitted / FITTED_FILE, fitted / f"{name}.safetensors"
    if not verdict.is_file():
        return None
    require_sound(verdict)
    try:
        kept = bool(json.loads(verdict.read_text(encoding="utf-8"))["kept"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{FITTED_FOLDER}/{FITTED_FILE}: damaged; delete it, and mine fits the teacher anew") from error
    if kept and not path.is_file():
        raise DataError(
            f"{FITTED_FOLDER}/{path.name}: the decoder that this run keeps is missing; delete {FITTED_FOLDER}, and "
            "mine fits the teacher anew"
        )
    return path if kept else None


def fitted_labeler(labeler: AnyLabeler, folder: str | Path, name: str = DECODER) -> AnyLabeler:
    """Return a labeler that asks the teacher which a run fitted and keeps; the labeler as it is where there is none."""
    if not isinstance(labeler, PromptedLabeler):
        return labeler
    path = kept_decoder(folder, name)
    return labeler if path is None else labeler.with_teacher(load_fitted(labeler.teacher, path))
