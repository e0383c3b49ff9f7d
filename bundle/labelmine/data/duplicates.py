"""Near-duplicate images: the same picture stored twice, re-exported, or the next moment of one recording.

They must share a group, or a split leaks. Each image is hashed by 256 bits of pHash (frequencies) and 256 bits of dHash
(gradients); alone, either hash confuses colonoscopies that share the endoscope's black frame. Distances measured on
real images (``pytest -m shared tests/data/test_duplicates.py``), with pairs looked at by eye:

| images | pairs within 90 of 512 bits | false pairs among them | nearest false pair |
|---|---|---|---|
| BUSI, 547 ultrasounds | 102 | 0 | 148 |
| Kvasir-SEG, 900 colonoscopies | 4 | 0 | 103 |
| ISIC 2016, 122 dermoscopies | 0 | 0 | 118 |
| chest X-rays, 44 | 0 | 0 | 113 |

Mirrored and rotated copies are not found.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelmine.data.hash_pairs import close_pairs
from labelmine.data.items import Item
from labelmine.progress import progress

logger = logging.getLogger(__name__)

#: Bits of 512 that may differ between near-duplicates; see the table above.
MAX_DISTANCE = 90
HASH_SIDE = 16
#: Standard deviation in [0, 1] under which an image is blank: all blank images hash alike but are no duplicates.
MIN_CONTRAST = 0.01

Reader = Callable[[Item], NDArray[np.float32]]
Pair = tuple[str, str, int]


def near_duplicates(
    items: Sequence[Item], read: Reader, max_distance: int = MAX_DISTANCE, workers: int | None = None
) -> list[Pair]:
    """Find pairs of images from different groups that look the same.

    Of the frames or slices of one file only the middle one is compared: they share a group already, and a copied
    volume has a copied middle.

    Args:
        items: Images to compare.
        read: Reads an item's image, float32 (H, W, 3) in [0, 1].
        max_distance: Most differing bits, of 512, of a pair.
        workers: Threads that read and hash; by default as many as there are processors.

    Returns:
        ``(id, id, differing bits)`` per pair, ids ascending, sorted.
    """
    chosen = _middle_frames(items)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found = pool.map(lambda item: image_hash(read(item)), chosen)
        hashes = list(progress(found, "near-duplicates", total=len(chosen), leave=False))
    kept = [(item, bits) for item, bits in zip(chosen, hashes, strict=True) if bits is not None]
    if len(kept) < 2:
        return []
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(item["group"], len(numbers)) for item, _ in kept])
    close = close_pairs(np.stack([bits for _, bits in kept]), max_distance, groups)
    pairs = zip(*(part.tolist() for part in close), strict=True)
    return sorted((kept[i][0]["id"], kept[j][0]["id"], distance) for i, j, distance in pairs)


def image_hash(image: NDArray[np.floating]) -> NDArray[np.uint64] | None:
    """Hash an image by pHash (Zauner 2010) and dHash of its luminance.

    Args:
        image: (H, W, 3) in [0, 1].

    Returns:
        (8,) uint64 holding 512 bits, or None for a blank image.
    """
    grey = np.asarray(image, dtype=np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    if grey.std() < MIN_CONTRAST:
        return None
    picture = Image.fromarray((np.clip(grey, 0, 1) * 255).round().astype(np.uint8))
    bits = [method(picture, hash_size=HASH_SIDE).hash.ravel() for method in (imagehash.phash, imagehash.dhash)]
    return np.packbits(np.concatenate(bits)).view(np.uint64)


def _middle_frames(items: Sequence[Item]) -> list[Item]:
    """Single images as they are, and the middle frame of each file that holds several; ordered by id."""
    files: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda item: item["id"]):
        files.setdefault(item["image"] if "frame" in item else item["id"], []).append(item)
    return [sorted(frames, key=lambda item: item.get("frame", 0))[len(frames) // 2] for frames in files.values()]
