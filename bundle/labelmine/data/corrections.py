"""Masks that an expert corrected come back as training gold, from a plain folder or from the tool they were made in."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.atomic import write_whole
from labelmine.data.classes import ClassMap
from labelmine.data.cvat import read_cvat_xml, read_labelmap
from labelmine.data.headers import NIFTI_SUFFIXES, file_kind, without_suffix
from labelmine.data.intensities import Window
from labelmine.data.items import Item
from labelmine.data.label_volumes import volume_id
from labelmine.data.loading import encode_mask, read_mask_of
from labelmine.data.mask_position import check_size
from labelmine.data.masks_elsewhere import classes_elsewhere
from labelmine.data.picture_volumes import read_picture_volume
from labelmine.data.png import encode_png
from labelmine.data.reading import read_image
from labelmine.data.seg_nrrd import read_seg_nrrd
from labelmine.data.set_aside import SetAside
from labelmine.data.stored_masks import read_mask
from labelmine.data.written_files import WrittenFiles
from labelmine.errors import DataError

logger = logging.getLogger(__name__)

TOOL_FOLDERS = ("monai_label", "slicer", "cvat")
CVAT_XML = "annotations.xml"
SEG_SUFFIX = ".seg.nrrd"
ReadMask = Callable[[Item, tuple[int, int]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Corrections:
    """Corrected masks of an image set.

    Attributes:
        masks: File of the mask by image id, as PNG like any other mask of the set.
        set_aside: Corrections that cannot be used.
        digest: Fingerprint of ids and masks.
    """

    masks: dict[str, Path]
    set_aside: list[SetAside] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Fingerprint of ids and masks: other corrections make another run."""
        rows = sorted(f"{name}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in self.masks.items())
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Found:
    """One corrected mask: the name it goes by, the file it is in, and how it is read."""

    name: str
    file: Path
    read: ReadMask


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
    as ``flat_name`` says. Where classes overlap, the later one wins.

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
    owners, lost = _owners(items), {name for one in without_image for name in (one, flat_name(one))}
    masks: dict[str, Path] = {}
    aside: list[SetAside] = []
    for found in _find(root, classes, slice_axis):
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
    return Corrections(masks, aside)


def place_corrections(items: Iterable[Item], corrections: Corrections) -> list[Item]:
    """Make corrected images training gold; those that choose or examine the student keep their gold.

    Args:
        items: Split items; images without gold of a validation or test group are not among them.
        corrections: Their corrections.

    Returns:
        New items, in the order given.
    """
    rest = dict(corrections.masks)
    placed = []
    for item in items:
        if item["id"] in rest and item.get("split") in ("train", "unlabeled"):
            item = item.copy()
            item.pop("dropped_label", None)
            item["label"], item["split"] = str(rest.pop(item["id"])), "train"
        placed.append(item)
    splits = {item["id"]: item.get("split") for item in placed}
    for name in sorted(rest):
        place = f"is in {splits[name]}" if name in splits else "shares a group with validation or test gold"
        logger.warning("corrections: %s %s, which must not change: its correction is not used", name, place)
    return placed


def _owners(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items by each name that a correction may go by: id, flat name, or the id of the whole volume."""
    owners: dict[str, list[Item]] = {}
    for item in items:
        owners.setdefault(volume_id(item), []).append(item)
    flat: dict[str, list[Item]] = {}
    for item in items:
        flat.setdefault(flat_name(item["id"]), []).append(item)
    return owners | {item["id"]: [item] for item in items} | flat


def _owner(found: _Found, owners: Mapping[str, list[Item]], file: str) -> list[Item]:
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


def _find(root: Path, classes: ClassMap, slice_axis: int) -> list[_Found]:
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
    if not found:
        raise DataError(
            f"corrections: {root} holds no corrected mask: expected masks named by image id, labels/final of MONAI "
            f"Label, {SEG_SUFFIX} files saved by 3D Slicer, or CVAT's unpacked export"
        )
    return sorted(found, key=lambda one: (one.name, str(one.file)))


def _find_in_form(root: Path, classes: ClassMap, slice_axis: int) -> Iterable[_Found]:
    written = WrittenFiles(root)
    final = root if (root.parent.name, root.name) == ("labels", "final") else root / "labels" / "final"
    if (root / "SegmentationClass").is_dir():
        return _cvat_masks(root / "SegmentationClass", read_labelmap(root / "labelmap.txt"), classes)
    if (root / CVAT_XML).is_file():
        return [] if written.untouched(root / CVAT_XML) else _cvat_shapes(root / CVAT_XML, classes)
    if final.is_dir():
        return [_Found(name, path, partial(_final, path, classes)) for name, path in _masks_in(final)]
    segmentations = sorted(root.rglob(f"*{SEG_SUFFIX}"))
    if segmentations:
        return _saved_again(segmentations, written, root, classes)
    plain = partial(_stored, classes, slice_axis)
    return [_Found(name, path, partial(plain, path)) for name, path in _masks_in(root)]


def _masks_in(folder: Path) -> list[tuple[str, Path]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    masks = [path for path in paths if file_kind(path) is not None]
    return [(without_suffix(path.relative_to(folder)).as_posix(), path) for path in masks]


def _saved_again(paths: Sequence[Path], written: WrittenFiles, root: Path, classes: ClassMap) -> list[_Found]:
    """Segmentations that are not as labelmine wrote them: those are still pseudo labels."""
    saved = [path for path in paths if not written.untouched(path)]
    if len(saved) < len(paths):
        logger.info("corrections: %d segmentations were not saved again: left out", len(paths) - len(saved))
    names = [path.relative_to(root).as_posix()[: -len(SEG_SUFFIX)] for path in saved]
    return [_Found(name, path, partial(_segments, path, classes)) for name, path in zip(names, saved, strict=True)]


def _cvat_shapes(path: Path, classes: ClassMap) -> list[_Found]:
    try:
        shapes = read_cvat_xml(path.read_bytes())
    except DataError as error:
        raise DataError(f"corrections: {path.name}: {error}") from error

    def read(name: str, _item: Item, _size: tuple[int, int]) -> NDArray[np.bool_]:
        own_size, masks = shapes[name]
        return _by_class(masks, classes, own_size)

    return [_Found(without_suffix(Path(name)).as_posix(), path, partial(read, name)) for name in shapes]


def _cvat_masks(folder: Path, colors: Mapping[str, tuple[int, int, int]], classes: ClassMap) -> list[_Found]:
    def read(path: Path, _item: Item, _size: tuple[int, int]) -> NDArray[np.bool_]:
        stored = read_mask(path, color=True)
        pixels = np.repeat(stored[..., None], 3, axis=-1) if stored.ndim == 2 else stored
        masks = {name: (pixels == color).all(axis=-1) for name, color in colors.items()}
        known = np.any([*masks.values(), (pixels == 0).all(axis=-1)], axis=0)
        if not known.all():
            raise DataError(f"holds a colour that labelmap.txt does not name: {pixels[~known][0].tolist()}")
        return _by_class({n: m for n, m in masks.items() if m.any()}, classes, (pixels.shape[0], pixels.shape[1]))

    return [_Found(name, path, partial(read, path)) for name, path in _masks_in(folder)]


def _segments(path: Path, classes: ClassMap, _item: Item, size: tuple[int, int]) -> NDArray[np.bool_]:
    return _by_class(read_seg_nrrd(path.read_bytes(), size), classes, size)


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


def _checked(found: _Found, item: Item, window: Window | None, slice_axis: int) -> NDArray[np.bool_]:
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
