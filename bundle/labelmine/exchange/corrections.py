"""Masks that an expert corrected come back as training gold, from a plain folder or from the tool they were made in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.atomic import write_whole
from labelmine.data.classes import ClassMap
from labelmine.data.corrections import Corrections, ReadCorrections
from labelmine.data.integrity import CheckedItems
from labelmine.data.intensities import Window
from labelmine.data.items import Item, volume_id
from labelmine.data.mask_position import check_size
from labelmine.data.png import encode_png
from labelmine.data.reading import read_image
from labelmine.data.set_aside import SetAside
from labelmine.errors import DataError
from labelmine.exchange.corrected_masks import CorrectedMask, find_corrected_masks
from labelmine.exchange.decisions import decided_in, rejected_ids


def flat_name(image_id: str) -> str:
    """Return the file name, without suffix, of an image in a folder without subfolders.

    Example:
        >>> flat_name("exam_3/frame_07")
        'exam_3__frame_07'
    """
    return image_id.replace("/", "__")


def read_corrections(
    folder: str | Path,
    items: Sequence[Item],
    classes: ClassMap,
    into: Path,
    window: Window | None = None,
    slice_axis: int = -1,
    without_image: Iterable[str] = (),
) -> Corrections:
    """Read corrected masks, check them and write them as PNG files of the set's classes.

    ``folder`` is one of: masks named by image id, ids with slashes as folders, as in ``masks/`` of an image set (for
    volumes: one per slice, or the whole volume); MONAI Label's datastore, of which ``labels/final`` counts; the folder
    ``slicer`` of a review, of which each ``.seg.nrrd`` counts that was saved again; CVAT's export as "CVAT for images
    1.1" or as "Segmentation mask 1.1", unpacked, of which every picture counts. In the latter three, ids are written
    as ``flat_name`` says; or the folder of a review in the browser (``decisions.jsonl``), of which the latest word on
    each image counts: accepted and corrected masks, and which labels were rejected. Where classes overlap, the later
    one wins.

    Args:
        folder: The corrections.
        items: Images of the set.
        classes: Classes of the set.
        into: Where PNG files go, ``<id>.png``.
        window: As for ``read_image``.
        slice_axis: As for ``read_image``.
        without_image: Ids set aside before; their corrections are set aside too.

    Raises:
        DataError: No folder, one without corrections, or a correction of an image that the set does not have.
    """
    root = Path(folder).expanduser()
    decided = decided_in(root)
    owners, lost = _owners(items), {name for one in without_image for name in (one, flat_name(one))}
    masks: dict[str, Path] = {}
    aside: list[SetAside] = []
    for found in find_corrected_masks(root, classes, slice_axis):
        file = found.file.relative_to(root).as_posix()
        if found.name not in owners and found.name in lost:
            aside.append(SetAside(found.name, file, "correction of an image that was itself set aside"))
            continue
        for item in _owner(found, owners, file):
            try:
                if item["id"] in masks:
                    raise DataError("second correction of this image; keep one of them")
                masks[item["id"]] = _write(_checked(found, item, window, slice_axis), item, classes, into)
            except DataError as error:
                aside.append(SetAside(item["id"], file, f"correction: {error}"))
    return Corrections(masks, aside, rejected_ids(decided) & {item["id"] for item in items})


def corrections_reader(folder: str | None) -> ReadCorrections | None:
    """Return what ``prepare_image_set`` reads corrections with, or None where there are none.

    Args:
        folder: As for ``read_corrections``; None: no corrections.
    """
    if folder is None:
        return None

    def read(checked: CheckedItems, into: Path, window: Window | None, slice_axis: int) -> Corrections:
        lost = [row.id for row in checked.set_aside]
        return read_corrections(folder, checked.items, checked.classes, into, window, slice_axis, lost)

    return read


def _owners(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items by each name that a correction may go by: id, flat name, or the id of the whole volume."""
    owners: dict[str, list[Item]] = {}
    for item in items:
        owners.setdefault(volume_id(item), []).append(item)
    flat: dict[str, list[Item]] = {}
    for item in items:
        flat.setdefault(flat_name(item["id"]), []).append(item)
    return owners | {item["id"]: [item] for item in items} | flat


def _owner(found: CorrectedMask, owners: Mapping[str, list[Item]], file: str) -> list[Item]:
    if found.name not in owners:
        known = next(iter(owners), "none")
        raise DataError(
            f"corrections: {file}: no image of the set goes by {found.name!r}. Name each mask by its image's id (for "
            f"example {known}.png), or remove the file"
        )
    own = owners[found.name]
    if len({flat_name(item["id"]) for item in own}) < len(own):
        twins = " and ".join(item["id"] for item in own)
        raise DataError(f"corrections: {file}: may belong to {twins}; rename one of these images")
    return own


def _checked(found: CorrectedMask, item: Item, window: Window | None, slice_axis: int) -> NDArray[np.bool_]:
    image = read_image(item, window, slice_axis)
    mask = found.read(item, (image.shape[0], image.shape[1]))
    check_size(mask.shape[1:], image.shape[:2], found.file)
    return mask


def _write(mask: NDArray[np.bool_], item: Item, classes: ClassMap, into: Path) -> Path:
    data = encode_png(classes.decode(mask))
    path = into / f"{item['id']}.png"
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)
    return path
