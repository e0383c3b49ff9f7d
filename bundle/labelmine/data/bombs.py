"""Files that are small on disk and huge in memory: refused by what their headers say, before anything is unpacked."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
from PIL import Image

from labelmine.errors import DataError

#: Values of a volume, or of all frames of a file: 4 GiB as float32; a whole-body CT has half as many.
MAX_VALUES = 2**30
#: Bytes of what comes packed as a whole.
MAX_BYTES = 2**32


def refuse_huge(shape: Sequence[int], limit: int = MAX_VALUES) -> None:
    """Refuse an array that would not fit.

    Args:
        shape: As a header gives it.
        limit: Values at most.

    Raises:
        DataError: It has more, or a negative length.

    Example:
        >>> refuse_huge((512, 512, 2000))
    """
    if min(shape, default=0) < 0 or math.prod(map(int, shape)) > limit:
        raise DataError(
            f"its header gives it {' x '.join(map(str, shape))} values, expected at most {limit / 1e6:.3g} million; "
            "cut it into parts, and its mask alike"
        )


def refuse_huge_picture(height: int, width: int) -> None:
    """Refuse a plane of more pixels than Pillow takes.

    Raises:
        DataError: It has more.
    """
    refuse_huge((height, width), 2 * (Image.MAX_IMAGE_PIXELS or MAX_VALUES))


def open_nifti(path: Path) -> Any:
    """Open a volume without its values.

    Raises:
        DataError: Its header gives it more values than fit.
    """
    volume = nib.load(path)
    refuse_huge(volume.shape)
    return volume


def inflated(data: bytes, most: int, wbits: int) -> bytes:
    """Unpack zlib's formats.

    Args:
        data: Packed.
        most: Bytes at most.
        wbits: As ``zlib.decompressobj`` takes it.

    Raises:
        DataError: There is more.
    """
    unpacking = zlib.decompressobj(wbits)
    content = unpacking.decompress(data, most)
    if unpacking.unconsumed_tail and unpacking.decompress(unpacking.unconsumed_tail, 1):
        raise DataError(f"holds more than the {most} bytes that its header tells of; export it again")
    return content


def refuse_deflate_bomb(parts: Iterable[bytes], most: int = MAX_BYTES) -> None:
    """Refuse a raw deflate stream that unpacks to more than so many bytes; nothing of it is kept.

    Raises:
        DataError: It does.
    """
    unpacking, size, step = zlib.decompressobj(-zlib.MAX_WBITS), 0, 2**24
    for part in parts:
        rest = part
        while rest:
            size += len(unpacking.decompress(rest, step))
            rest = unpacking.unconsumed_tail
            if size > most:
                raise DataError(f"unpacks to more than {most / 2**30:.3g} GiB; export it in another transfer syntax")
