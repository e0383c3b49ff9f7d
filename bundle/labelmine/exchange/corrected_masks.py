"""Corrected masks as they are found: a plain folder, or what MONAI Label, 3D Slicer and CVAT save."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.data.classes import ClassMap
from labelmine.data.headers import NIFTI_SUFFIXES, file_kind, without_suffix
from labelmine.data.items import Item
from labelmine.data.loading import encode_mask, read_mask_of
from labelmine.data.masks_elsewhere import classes_elsewhere
from labelmine.data.picture_volumes import read_picture_volume
from labelmine.data.stored_masks import read_mask
from labelmine.errors import DataError
from labelmine.exchange.cvat import decode_cvat_xml, read_labelmap
from labelmine.exchange.decisions import DECISIONS_FILE, Decision, DecisionLog
from labelmine.exchange.seg_nrrd import decode_seg_nrrd
from labelmine.exchange.written_files import WrittenFiles

logger = logging.getLogger(__name__)

TOOL_FOLDERS = ("monai_label", "slicer", "cvat")
CVAT_XML = "annotations.xml"
SEG_SUFFIX = ".seg.nrrd"
ReadMask = Callable[[Item, tuple[int, int]], NDArray[np.bool_]]


@dataclass(frozen=True)
class CorrectedMask:
    """One corrected mask.

    Attributes:
        name: The name it goes by: an image's id, its flat name, or the id of a volume.
        file: The file it is in.
        read: Reads it for an image of (H, W) pixels: (K, H, W) bool.
    """

    name: str
    file: Path
    read: ReadMask


def find_corrected_masks(root: Path, classes: ClassMap, slice_axis: int = -1) -> list[CorrectedMask]:
    """Find the corrected masks in a folder, whatever form it has; see ``read_corrections``.

    Args:
        root: The folder.
        classes: Classes of the set.
        slice_axis: Axis along which volumes are cut.

    Returns:
        Masks sorted by name; none is read yet.

    Raises:
        DataError: No folder, or one without corrections.
    """
    if not root.is_dir():
        hint = "unpack it and give the folder" if root.suffix.lower() == ".zip" else "give a folder of corrected masks"
        raise DataError(f"corrections: {root} is no folder; {hint}")
    inside = [name for name in TOOL_FOLDERS if (root / name).is_dir()]
    if inside:
        raise DataError(
            f"corrections: {root} holds {', '.join(inside)}; give the folder of the tool that you corrected in, for "
            f"example {root / inside[0]}"
        )
    found = list(_find_in_form(root, classes, slice_axis))
    if not found and not (root / DECISIONS_FILE).is_file():
        raise DataError(
            f"corrections: {root} holds no corrected mask: expected masks named by image id, labels/final of MONAI "
            f"Label, {SEG_SUFFIX} files saved by 3D Slicer, CVAT's unpacked export, or a review's {DECISIONS_FILE}"
        )
    return sorted(found, key=lambda one: (one.name, str(one.file)))


def _find_in_form(root: Path, classes: ClassMap, slice_axis: int) -> Iterable[CorrectedMask]:
    if (root / DECISIONS_FILE).is_file():
        return _decided_masks(DecisionLog(root), classes)
    written = WrittenFiles(root)
    final = root if (root.parent.name, root.name) == ("labels", "final") else root / "labels" / "final"
    if (root / "SegmentationClass").is_dir():
        return _cvat_masks(root / "SegmentationClass", read_labelmap(root / "labelmap.txt"), classes)
    if (root / CVAT_XML).is_file():
        return [] if written.untouched(root / CVAT_XML) else _cvat_shapes(root / CVAT_XML, classes)
    if final.is_dir():
        return [CorrectedMask(name, path, partial(_final, path, classes)) for name, path in _masks_in(final)]
    segmentations = sorted(root.rglob(f"*{SEG_SUFFIX}"))
    if segmentations:
        return _saved_again(segmentations, written, root, classes)
    plain = partial(_stored, classes, slice_axis)
    return [CorrectedMask(name, path, partial(plain, path)) for name, path in _masks_in(root)]


def _decided_masks(log: DecisionLog, classes: ClassMap) -> list[CorrectedMask]:
    """Masks that a review in the browser accepted or corrected: the latest word on each image."""

    def read(decision: Decision, _item: Item, size: tuple[int, int]) -> NDArray[np.bool_]:
        return _by_class(dict(zip(log.classes.names, log.mask(decision), strict=True)), classes, size)

    decided = [decision for decision in log.final().values() if decision.mask_sha256]
    return [CorrectedMask(one.id, log.mask_path(one.mask_sha256), partial(read, one)) for one in decided]


def _masks_in(folder: Path) -> list[tuple[str, Path]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    masks = [path for path in paths if file_kind(path) is not None]
    return [(without_suffix(path.relative_to(folder)).as_posix(), path) for path in masks]


def _saved_again(paths: Sequence[Path], written: WrittenFiles, root: Path, classes: ClassMap) -> list[CorrectedMask]:
    """Segmentations that are not as labelmine wrote them: those are still pseudo labels."""
    saved = [path for path in paths if not written.untouched(path)]
    if len(saved) < len(paths):
        logger.info("corrections: %d segmentations were not saved again: left out", len(paths) - len(saved))
    names = [path.relative_to(root).as_posix()[: -len(SEG_SUFFIX)] for path in saved]
    return [
        CorrectedMask(name, path, partial(_segments, path, classes)) for name, path in zip(names, saved, strict=True)
    ]


def _cvat_shapes(path: Path, classes: ClassMap) -> list[CorrectedMask]:
    try:
        shapes = decode_cvat_xml(path.read_bytes())
    except DataError as error:
        raise DataError(f"corrections: {path.name}: {error}") from error

    def read(name: str, _item: Item, _size: tuple[int, int]) -> NDArray[np.bool_]:
        own_size, masks = shapes[name]
        return _by_class(masks, classes, own_size)

    return [CorrectedMask(without_suffix(Path(name)).as_posix(), path, partial(read, name)) for name in shapes]


def _cvat_masks(folder: Path, colors: Mapping[str, tuple[int, int, int]], classes: ClassMap) -> list[CorrectedMask]:
    def read(path: Path, _item: Item, _size: tuple[int, int]) -> NDArray[np.bool_]:
        stored = read_mask(path, color=True)
        pixels = np.repeat(stored[..., None], 3, axis=-1) if stored.ndim == 2 else stored
        masks = {name: (pixels == color).all(axis=-1) for name, color in colors.items()}
        known = np.any([*masks.values(), (pixels == 0).all(axis=-1)], axis=0)
        if not known.all():
            raise DataError(f"holds a colour that labelmap.txt does not name: {pixels[~known][0].tolist()}")
        return _by_class({n: m for n, m in masks.items() if m.any()}, classes, (pixels.shape[0], pixels.shape[1]))

    return [CorrectedMask(name, path, partial(read, path)) for name, path in _masks_in(folder)]


def _segments(path: Path, classes: ClassMap, _item: Item, size: tuple[int, int]) -> NDArray[np.bool_]:
    return _by_class(decode_seg_nrrd(path.read_bytes(), size), classes, size)


def _final(path: Path, classes: ClassMap, item: Item, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask of MONAI Label: a volume of one slice with values 1..K, or a picture as anywhere."""
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        return _stored(classes, -1, path, item, size)
    values = read_picture_volume(path)
    numbers = np.arange(1, len(classes) + 1)
    foreign = set(np.unique(values)) - {0.0, *numbers.astype(float)}
    if foreign and len(classes) > 1:
        raise DataError(f"holds the value {min(foreign):g}; expected 0 and 1..{len(classes)} for {classes.names}")
    return values[None] > 0 if len(classes) == 1 else values[None] == numbers[:, None, None]


def _stored(classes: ClassMap, slice_axis: int, path: Path, item: Item, _size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask as those in ``masks/`` of an image set are."""
    classes = classes_elsewhere(classes, [(item, path)], slice_axis)
    stored = read_mask_of(item, path, classes, slice_axis)
    mask = encode_mask(stored, path, classes)
    foreign = sorted(map(str, classes.foreign_values(stored.values)))
    if foreign:
        named = dict(zip(classes.names, classes.values or (), strict=False))
        raise DataError(f"mask holds {', '.join(foreign[:5])}, which no class names; classes: {named}")
    return mask > 0


def _by_class(masks: Mapping[str, NDArray[np.bool_]], classes: ClassMap, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(K, H, W) of masks by name; where there is one class only, its one mask may go by any name."""
    if len(classes) == 1 and len(masks) == 1:
        return np.stack(list(masks.values()))
    unknown = [name for name in masks if name not in classes.names]
    if unknown:
        raise DataError(f"{unknown[0]!r} is no class; rename it to one of {', '.join(classes.names)}, or delete it")
    return np.stack([masks.get(name, np.zeros(size, dtype=bool)) for name in classes.names])
