"""DICOM Segmentations and RT Structure Sets as gold: found by the images that they refer to, wherever they lie."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelmine.data.classes import ClassMap
from labelmine.data.dicom_files import is_dicom_file, open_dicom
from labelmine.data.dicom_geometry import PLANE_TAGS, read_plane
from labelmine.data.dicom_references import GOLD_KINDS, SEGMENTATIONS
from labelmine.data.dicom_seg import DicomSegmentation
from labelmine.data.findings import Findings
from labelmine.data.items import Item
from labelmine.data.rt_structures import StructureSet
from labelmine.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

#: Open files kept, so that neighbouring slices do not parse theirs again.
_OPEN_FILES = 4
#: More classes are hardly meant: treatment plans list body, couch and helper structures.
_MAX_CLASSES = 20
_IMAGE_TAGS = ["SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", *PLANE_TAGS]


@dataclass
class GoldSearch:
    """Images and the segmentations that were found for them.

    Attributes:
        items: All items; those that a segmentation refers to have it as ``label`` (several: ``label_parts``).
        unused: Files that label nothing, and why.
        notes: What was found, a line for each file.
    """

    items: list[Item]
    unused: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_dicom_gold(path: str | Path) -> bool:
    """Whether a file is a DICOM Segmentation or an RT Structure Set."""
    path = Path(path)
    try:
        return path.is_file() and str(open_dicom(path, ["SOPClassUID"]).get("SOPClassUID", "")) in GOLD_KINDS
    except Exception:  # no DICOM, or damaged, which whoever reads it will say
        return False


def label_by_dicom_gold(items: Sequence[Item], paths: Iterable[Path]) -> GoldSearch:
    """Give images the segmentations that refer to them; those to which none refers stay as they are.

    Args:
        items: Items of the set, some of them DICOM.
        paths: Segmentations and structure sets of the set.
    """
    search = GoldSearch([Item({**item}) for item in items])
    images = _Images(search.items)
    had_label = {item["id"] for item in items if "label" in item}
    for path in sorted(paths):
        try:
            meant = images.meant_by(path)
        except DataError as error:
            search.unused.append((path, str(error)))
            continue
        taken = [item for item in meant if item["id"] in had_label]
        if taken:
            reason = f"{len(taken)} images that it labels have a mask file, too ({taken[0]['id']}); keep one of them"
            search.unused.append((path, reason))
            continue
        for item in meant:
            parts = [*item.get("label_parts", [item["label"]] if "label" in item else []), str(path)]
            item["label"] = parts[0]
            if len(parts) > 1:
                item["label_parts"] = parts
        search.notes.append(f"{path.name} labels {len(meant)} images: {', '.join(_open(path).names)}")
        if left := images.not_meant_by(path):
            search.notes.append(f"{path.name} does not refer to {left} images of its series, which stay unlabelled")
    return search


def dicom_gold_classes(items: Iterable[Item], given: ClassMap | None, findings: Findings) -> ClassMap | None:
    """Classes of a set whose gold is DICOM: the names of its segments.

    Args:
        items: Items of the set.
        given: Classes that the user named; they choose among the segments by name, and ``ClassMap()`` unites all.
        findings: Receives what was assumed.

    Returns:
        ``given`` where it is given, or where no gold is DICOM.

    Raises:
        ConfigError: Classes that no segment is called, or more than 20 segments.
    """
    paths = dict.fromkeys(part for item in items for part in _parts(item) if is_dicom_gold(part))
    names: dict[str, str] = {}
    for path in paths:
        for note in _open(Path(path)).assumptions:
            findings.note("segmentation", note, Path(path).name)
        names |= {name.casefold(): name for name in _open(Path(path)).names if name.casefold() not in names}
    if not names:
        return given
    listed = list(names.values())
    if given is None:
        if len(listed) > _MAX_CLASSES:
            raise ConfigError(
                f"classes: the gold has {len(listed)} segments ({', '.join(listed[:10])}, ...); name those to learn, "
                f"for example classes: [{', '.join(listed[:2])}]"
            )
        values = tuple(range(1, len(listed) + 1)) if len(listed) > 1 else None
        findings.note("segmentation", f"classes are the segments of the DICOM gold: {', '.join(listed)}")
        return ClassMap(tuple(listed), values)
    unknown = [name for name in given.names if name.casefold() not in names]
    if given != ClassMap() and unknown:
        raise ConfigError(f"classes: no segment is called {', '.join(unknown)}; the gold has {', '.join(listed[:20])}")
    left = [name for key, name in names.items() if key not in {name.casefold() for name in given.names}]
    if given == ClassMap() and len(listed) > 1:
        findings.note("segmentation", f"all segments were united into one class: {', '.join(listed[:20])}")
    elif given != ClassMap() and left:
        findings.note("segmentation", f"segments that no class names were taken as background: {', '.join(left[:20])}")
    return given


def read_dicom_label(item: Item, path: str | Path, classes: ClassMap) -> NDArray[np.uint8]:
    """Read the gold of an image from the segmentations that refer to it.

    Args:
        item: Item whose image, and frame, is meant.
        path: Segmentation; where it is the item's ``label`` and has further parts, these count, too.
        classes: Classes, by the names of segments; ``ClassMap()`` unites all segments.

    Returns:
        (K, H, W) of 0 and 1; classes may overlap.

    Raises:
        DataError: A file that cannot be read, or lies on another grid than the image.
    """
    image, frame = open_dicom(Path(item["image"]), _IMAGE_TAGS), item.get("frame")
    plane = read_plane(image, frame or 0)
    label = np.zeros((len(classes), int(image.Rows), int(image.Columns)), dtype=np.uint8)
    channels = {name.casefold(): number for number, name in enumerate(classes.names)}
    for part in _parts(item) if str(path) in _parts(item) else [str(path)]:
        try:
            gold = _open(Path(part))
            if not gold.references.include(str(image.get("SOPInstanceUID")), str(image.get("SeriesInstanceUID"))):
                raise DataError("segmentation of another image: it does not refer to this one; correct the pair")
            masks = gold.masks(image, frame, plane)
        except DataError as error:
            raise DataError(f"{Path(part).name}: {error}") from error
        for name, mask in masks.items():
            channel = 0 if classes == ClassMap() else channels.get(name.casefold())
            if channel is not None:
                label[channel] |= mask
    return label


def _parts(item: Item) -> list[str]:
    return item.get("label_parts") or [path for path in (item.get("label"), item.get("dropped_label")) if path]


class _Images:
    """DICOM items by what segmentations call them."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._by_instance: dict[str, list[Item]] = {}
        self._series: dict[str, str] = {}
        names: dict[str, tuple[str, str]] = {}
        for item in items:
            path = item["image"]
            if path not in names:
                names[path] = _identity(Path(path))
            instance, series = names[path]
            self._by_instance.setdefault(instance, []).append(item)
            self._series[instance] = series

    def meant_by(self, path: Path) -> list[Item]:
        references = _open(path).references
        found = [uid for uid, series in self._series.items() if uid and references.include(uid, series)]
        missing = sorted(references.instances - set(found))
        if not found:
            named = missing or sorted(references.series) or ["none"]
            raise DataError(
                f"segmentation of images that are not here: it refers to {len(named)}, the first is {named[0]}; put "
                "its images into the set, or leave it out"
            )
        if missing:
            logger.warning(
                "%s: %d of %d images that it refers to are not here (the first: %s)",
                path.name,
                len(missing),
                len(references.instances),
                missing[0],
            )
        return [item for uid in found for item in self._by_instance[uid]]

    def not_meant_by(self, path: Path) -> int:
        """Number of images of the same series that a segmentation leaves out."""
        references = _open(path).references
        same = [uid for uid, series in self._series.items() if uid and series in references.series]
        return sum(len(self._by_instance[uid]) for uid in same if not references.include(uid, self._series[uid]))


def _identity(path: Path) -> tuple[str, str]:
    if not path.is_file() or not is_dicom_file(path):
        return "", ""
    image = open_dicom(path, ["SOPInstanceUID", "SeriesInstanceUID"])
    return str(image.get("SOPInstanceUID", "")), str(image.get("SeriesInstanceUID", ""))


def _open(path: Path) -> DicomSegmentation | StructureSet:
    return _open_once(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=_OPEN_FILES)
def _open_once(path: Path, _modified_ns: int) -> DicomSegmentation | StructureSet:
    try:
        kind = str(open_dicom(path, ["SOPClassUID"]).SOPClassUID)
        return DicomSegmentation(path) if kind in SEGMENTATIONS else StructureSet(path)
    except DataError:
        raise
    except Exception as error:  # pydicom raises whatever a damaged file happens to trip
        raise DataError(f"segmentation cannot be read ({type(error).__name__}: {error}); export it again") from error
