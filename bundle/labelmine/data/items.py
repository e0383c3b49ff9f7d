"""The item: one JSON-able dict per image, the unit that every room passes on."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Split = Literal["train", "val", "test", "unlabeled"]


class Item(TypedDict):
    """One image and what is known of it.

    Attributes:
        id: Stable and unique in its image set: the path below the set's folder without suffix, POSIX separators
            (frames and slices append ``_frame0003``). It also names the files written for the image.
        image: Path of the image file.
        label: Path of the gold mask; absent where there is none.
        label_parts: Files that together are the gold mask, where there are several, each with other objects; the first
            is ``label`` (or ``dropped_label``), which stands for all of them.
        group: Patient, video or exam; images of one group never straddle splits. Defaults to ``id``.
        split: Where the image is used; absent before splitting.
        frame: Index of the frame (multi-frame DICOM) or slice (NIfTI volume); absent for plain 2-D files.
        dropped_label: Gold mask hidden from training by ``labeled_fraction``, kept only to measure pseudo labels.
        made: Whether a generator made image and label, which is then no gold.
    """

    id: str
    image: str
    label: NotRequired[str]
    label_parts: NotRequired[list[str]]
    group: str
    split: NotRequired[Split]
    frame: NotRequired[int]
    dropped_label: NotRequired[str]
    made: NotRequired[bool]


def volume_id(item: Item) -> str:
    """Return the id of the file that a frame or slice belongs to; the item's own id for a plain 2-D file.

    Example:
        >>> volume_id(Item(id="ct/scan.v2_frame0003", image="ct/scan.v2.nii.gz", group="scan", frame=3))
        'ct/scan.v2'
    """
    return item["id"].removesuffix(f"_frame{item['frame']:04d}") if "frame" in item else item["id"]


def without_gold(item: Item) -> Item:
    """Return an item whose gold is not looked at."""
    bare = item.copy()
    bare.pop("label", None)
    bare.pop("label_parts", None)
    return bare
