"""What is assumed when an image is read, from its header where that is enough."""

from __future__ import annotations

from pathlib import Path

from labelmine.data.deep_pictures import USED_BITS, is_deep_color, read_deep_color, used_bits
from labelmine.data.dicom import display_assumptions
from labelmine.data.headers import file_kind
from labelmine.data.items import Item


def image_assumptions(item: Item) -> list[str]:
    """Say what ``read_image`` assumes of an item's image: a sentence each, equal for all images that it holds for.

    Args:
        item: Item whose image can be read.

    Returns:
        Sentences; none where the file says all.
    """
    path = Path(item["image"])
    kind = file_kind(path)
    if kind == "dicom":
        return display_assumptions(path, item.get("frame"))
    if kind == "picture" and is_deep_color(path):
        pixels = read_deep_color(path)
        bits = used_bits(pixels) if pixels.dtype.kind == "u" else 16
        return [USED_BITS.format(bits=bits)] if bits < 16 else []
    return []
