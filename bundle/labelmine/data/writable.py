"""What could not be written at the end of a run is found at its beginning: names, geometry, the output folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

import numpy as np

from labelmine.data.bombs import open_nifti
from labelmine.data.headers import file_kind
from labelmine.data.set_aside import printable
from labelmine.errors import DataError

#: Longest name of a file or folder in bytes, on all common file systems.
MAX_NAME = 255
#: Longest path in bytes on Linux; macOS allows 1024.
MAX_PATH = 4096
#: Longest that is added to an image's id in an output folder: ``_frame0000`` and a suffix, folders of labels in front.
ID_TAIL, ID_HEAD = 24, 64
#: What a run needs at the very least: weights of a student, a report, labels.
MIN_FREE_MB = 100


def unwritable(image_id: str, image: Path, frames: int | None = None) -> str | None:
    """Say why results for an image could not be written, else ``None``.

    Args:
        image_id: Id of its file: results are named by it.
        image: Image file; of a NIfTI volume the affine is looked at, with which masks are written.
        frames: Number of slices; ``None`` for a plain 2-D image.

    Raises:
        DataError: A header that cannot be read.
    """
    if printable(image_id) != image_id or printable(str(image)) != str(image):
        return "its name, or that of its folder, holds bytes that are no UTF-8; rename it"
    long = [part for part in PurePosixPath(image_id).parts if len(part.encode()) + ID_TAIL > MAX_NAME]
    if long:
        size, room = len(long[0].encode()), MAX_NAME - ID_TAIL
        return f"its name is too long to name results by: expected at most {room} bytes, got {size}; shorten it"
    if frames is not None and file_kind(image) == "nifti":
        affine = np.asarray(open_nifti(image).affine)[:3]
        if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:, :3]) < 3:
            return (
                "its affine has no inverse or holds no numbers (NaN), so that no mask could be written beside it; "
                "export the volume again with a valid sform or qform"
            )
    return None


def require_writable(folder: Path) -> None:
    """Make an output folder and write a file into it, so that a run does not fail after its work.

    Raises:
        DataError: A folder that cannot be made or written to, with a name that is no UTF-8, or on a full disk.
    """
    if printable(str(folder)) != str(folder):
        raise DataError(f"output_dir: {printable(str(folder))}: the name holds bytes that are no UTF-8; choose another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1024 * 1024))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise DataError(
            f"output_dir: {folder} cannot be written to ({error.strerror or error}); give a folder of yours, on a disk "
            "with room"
        ) from error
    if free < MIN_FREE_MB * 1e6:
        raise DataError(
            f"output_dir: the disk of {folder} has {free / 1e6:.0f} MB left, expected {MIN_FREE_MB} MB or more; make "
            "room or choose another disk"
        )


def require_short(image_ids: list[str], folder: Path) -> None:
    """Refuse an output folder so deep that the longest result's path would not fit.

    Raises:
        DataError: Paths that are too long.
    """
    longest = max((len(os.fsencode(image_id)) for image_id in image_ids), default=0)
    length = len(os.fsencode(folder.absolute())) + ID_HEAD + longest + ID_TAIL
    if length > MAX_PATH:
        raise DataError(
            f"output_dir: paths of results would be up to {length} bytes long, expected at most {MAX_PATH}; choose an "
            "output_dir with a shorter path, or shorten the images' names"
        )
