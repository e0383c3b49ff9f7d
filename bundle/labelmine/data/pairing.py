"""Images and their masks, by the names of folders and files; where names allow two readings, none is taken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from labelmine.data.file_names import Stem, composed, image_stems, mask_stems, named_masks
from labelmine.data.folder_roles import role_of
from labelmine.data.headers import DICOM_SUFFIXES, NIFTI_SUFFIXES, PICTURE_SUFFIXES
from labelmine.data.mask_readings import (
    NO_MASKS,
    MaskReading,
    guess_pattern,
    refuse_channels,
    refuse_two_readings,
    refuse_unpaired,
)
from labelmine.data.placed_file import Place, PlacedFile, place_files
from labelmine.errors import DataError


@dataclass(frozen=True)
class PairedImage:
    """An image of a folder, with its masks.

    Attributes:
        id: Its path without suffix, and without a folder that only says that images are in it.
        path: Its path, relative to the set.
        masks: Masks that are to be united; none where it is unlabelled.
    """

    id: str
    path: PurePosixPath
    masks: tuple[PurePosixPath, ...] = ()


@dataclass(frozen=True)
class Pairing:
    """How the image files of a folder belong together; all paths are relative to it.

    Attributes:
        images: Images, by id.
        patterns: How masks were found, as ``mask_pattern``, with the masks found so.
        unpaired: Masks without image, and the id that the image would have: that of a single frame, perhaps.
        doubled: Masks of an image that has one of the same name, and that one.
        unused: Files that are neither image nor mask.
    """

    images: list[PairedImage]
    patterns: dict[str, list[PurePosixPath]] = field(default_factory=dict)
    unpaired: dict[PurePosixPath, str] = field(default_factory=dict)
    doubled: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    unused: list[PurePosixPath] = field(default_factory=list)


@dataclass(frozen=True)
class _Match:
    """A mask, its image, and how one follows from the other."""

    mask: PlacedFile
    image: PlacedFile
    reading: MaskReading
    numbered: bool = False


def pair_by_names(files: Iterable[PurePosixPath], top: str = "dataset_dir") -> Pairing:
    """Tell images from masks by the names of folders and files, and find the masks of each image.

    Masks lie in a folder of their own (``masks``, ``labels``, ``gt``, ``Ground Truth``, ``labelsTr``, ``train_masks``)
    or beside their images, and are named like them, perhaps with more (``_mask``, ``_seg``, ``_label``). A number
    behind that, or behind the name of a mask that is there too, is a further mask of the same image.

    Args:
        files: Image files, masks among them, relative to the set.
        top: The set's name, for messages.

    Raises:
        DataError: Masks that can be read in two ways; the message shows the knob for each.
    """
    placed = place_files(files)
    masks = [file for file in placed if file.is_mask]
    images = [file for file in placed if not file.is_mask]
    if masks and not images:
        raise DataError(f"{top}: holds masks ({masks[0].path}) and no images; give the folder that holds both")
    if any(file.is_image for file in images) and (masks or any(file.folder == _IMAGES for file in images)):
        images = [file for file in images if (file.is_image if masks else file.folder == _IMAGES)]
    matches = list(_match(masks, images, top)) + list(_match_beside(images))
    matches += _match_lone_images(masks, images, matches)
    _refuse_doubt(top, matches, placed)
    return _pairing(placed, images, masks, matches)


def refuse_unlabeled(files: Iterable[PurePosixPath], top: str) -> None:
    """Stop on a set without any pair in which folders or files are named like masks.

    Args:
        files: All files of the set, those of unread formats too: the masks may be among them.
        top: The set's name.

    Raises:
        DataError: There are such files; the message shows how to pair them, or that there are no masks.
    """
    placed = place_files(files)
    looks = [file for file in placed if _looks_like_mask(file)]
    named = [file for file in placed if named_masks(file.stem)]
    masks = looks or (named if len(named) >= len(placed) / 2 else [])
    images = [file for file in placed if file not in masks]
    _refuse_masks_of_several(top, named, [file for file in placed if file not in named])
    unread = {file.path.suffix for file in masks if not file.path.name.lower().endswith(READ_SUFFIXES)}
    if masks and not all(file.path.suffix in unread for file in masks):
        refuse_unpaired(top, images or masks, masks)
    elif masks:
        raise DataError(
            f"{top}: {masks[0].path.parent}/ should hold masks by its name, but holds {', '.join(sorted(unread)[:5])} "
            f"files ({masks[0].path}), which are not read; convert them to PNG, or say that there are no masks: "
            f"{NO_MASKS}"
        )


def _refuse_masks_of_several(top: str, named: Sequence[PlacedFile], others: Sequence[PlacedFile]) -> None:
    """Stop where most files named like masks, ``x_seg``, lie beside several of one name, ``x_t1`` and ``x_t2``."""
    beside: dict[PurePosixPath, list[PlacedFile]] = defaultdict(list)
    for file in others:
        beside[file.path.parent].append(file)
    found = []
    for mask in named:
        for stem in named_masks(mask.stem):
            of_name = [file for file in beside[mask.path.parent] if file.stem.startswith(stem.core) and stem.core]
            if of_name:
                found.append((of_name, mask, stem))
                break
    if len(found) > len(named) / 2:
        images, mask, stem = found[0]
        styles = ["{id}" + file.stem[len(stem.core) :] for file in images]
        refuse_channels(top, images[0], styles, mask, stem)


_IMAGES = PurePosixPath("images")
READ_SUFFIXES = (*PICTURE_SUFFIXES, *NIFTI_SUFFIXES, *DICOM_SUFFIXES)


def _looks_like_mask(file: PlacedFile) -> bool:
    roles = [role_of(folder) for folder in file.path.parts[:-1]]
    return file.is_mask or (not file.is_image and any(role is not None and role.role == "mask" for role in roles))


class _Index:
    """Images by place and name; a name as it stands comes before one that was stripped."""

    def __init__(self, images: Iterable[PlacedFile]) -> None:
        self._exact: dict[tuple[Place, str], PlacedFile] = {}
        self._read: dict[tuple[Place, str], list[tuple[PlacedFile, Stem]]] = defaultdict(list)
        for file in images:
            self._exact.setdefault((file.place, file.stem), file)
            for stem in image_stems(file.stem, file.has_channels):
                self._read[_composed(file.place), composed(stem.core)].append((file, stem))

    def find(self, place: Place, core: str) -> list[tuple[PlacedFile, Stem]]:
        if (place, core) in self._exact:
            return [(self._exact[place, core], Stem(core, "{id}"))]
        found = self._read.get((_composed(place), composed(core)), [])
        whole = [(file, stem) for file, stem in found if stem.style == "{id}"]
        return whole or found


def _composed(place: Place) -> Place:
    above, residue, below = place
    return tuple(map(composed, above)), residue, tuple(map(composed, below))


def _match(masks: Iterable[PlacedFile], images: Sequence[PlacedFile], top: str) -> Iterator[_Match]:
    """Pair masks in folders of their own; numbered ones last, as they need a first mask of the same image."""
    index = _Index(images)
    plain: set[tuple[Place, str]] = set()
    waiting: list[tuple[PlacedFile, Stem]] = []
    for mask in masks:
        for stem in mask_stems(mask.stem):
            found = index.find(mask.place, stem.core)
            if found and stem.numbered and stem.style == "{id}":
                waiting.append((mask, stem))
            elif found:
                if len(found) > 1:
                    refuse_channels(top, found[0][0], [way.style for _, way in found], mask, stem)
                plain.add((mask.place, stem.core))
                yield _matched(mask, stem, *found[0])
            if found:
                break
    numbers_are_names = any(
        index.find(file.place, stem.core) for file in images for stem in mask_stems(file.stem) if stem.numbered
    )
    for mask, stem in waiting:
        if (mask.place, stem.core) in plain and not numbers_are_names:
            yield _matched(mask, stem, *index.find(mask.place, stem.core)[0])


def _match_beside(images: Sequence[PlacedFile]) -> Iterator[_Match]:
    """Pair files that call themselves masks with those of the same folder that do not, or with each other."""
    calls = {file.path: file for file in images if named_masks(file.stem)}
    matched = list(_match_calls(list(calls.values()), [file for file in images if file.path not in calls]))
    yield from matched
    done = {match.mask.path for match in matched}
    rest = [file for path, file in calls.items() if path not in done]
    yield from _match_calls(rest, rest)  # lesion_1.png and lesion_1_mask.png


def _match_calls(masks: Sequence[PlacedFile], images: Sequence[PlacedFile]) -> Iterator[_Match]:
    index = _Index(images)
    in_folder: dict[PurePosixPath, list[PlacedFile]] = defaultdict(list)
    for file in images:
        in_folder[file.path.parent].append(file)
    for mask in masks:
        for stem in named_masks(mask.stem):
            found = [pair for pair in index.find(mask.place, stem.core) if pair[0] != mask]
            lone = in_folder[mask.path.parent] if not stem.core and mask.path.parent.name else []
            if len(found) == 1:
                yield _matched(mask, stem, *found[0])
                break
            if len(lone) == 1 and lone[0] != mask:  # case_7/: scan_7.nii.gz and GT.nii.gz
                yield _matched(mask, stem, lone[0], Stem("", "*"))
                break


def masks_beside(images: Sequence[PlacedFile]) -> set[PurePosixPath]:
    """Return the files that call themselves masks of a file in the same folder."""
    return {match.mask.path for match in _match_beside(images)}


def _match_lone_images(
    masks: Iterable[PlacedFile], images: Iterable[PlacedFile], matches: Iterable[_Match]
) -> list[_Match]:
    """Give a lone image in a folder of its case all masks of that case, whatever they are called."""
    taken = {match.mask.place[:2] for match in matches}
    by_case: dict[object, list[PlacedFile]] = defaultdict(list)
    for image in images:
        by_case[image.place[:2]].append(image)
    found = []
    for mask in masks:
        above, case = mask.place[0], mask.place[:2]
        if above and case not in taken and len(by_case.get(case, ())) == 1:
            (image,) = by_case[case]
            found.append(_Match(mask, image, _matched(mask, Stem("", "*"), image, Stem("", "*")).reading))
    return found


def _matched(mask: PlacedFile, mask_stem: Stem, image: PlacedFile, image_stem: Stem) -> _Match:
    return _Match(mask, image, MaskReading.of(image, image_stem, mask, mask_stem), mask_stem.numbered)


def _refuse_doubt(top: str, matches: Sequence[_Match], placed: Sequence[PlacedFile]) -> None:
    """Stop where an image has masks by two readings, or where another folder holds masks that matched nothing."""
    readings: dict[PurePosixPath, set[MaskReading]] = defaultdict(set)
    for match in matches:
        readings[match.image.path].add(match.reading)
    patterns = _patterns(matches)
    rivals = {reading for several in readings.values() if len(several) > 1 for reading in several}
    if rivals:
        refuse_two_readings(
            top, {pattern: len(masks) for reading, (pattern, masks) in patterns.items() if reading in rivals}
        )
    used = {match.mask.folder or match.mask.path.parent for match in matches}
    documented = all(match.reading.documented for match in matches)
    others = [
        file
        for file in placed
        if _looks_like_mask(file) and (file.folder or file.path.parent) not in used and (file.is_mask or not documented)
    ]
    if matches and others:
        images = [match.image for match in matches]
        other = guess_pattern(images, others) or f"{others[0].path.parent}/{{id}}"
        counts = {pattern: len(masks) for pattern, masks in patterns.values()}
        refuse_two_readings(top, counts | {other: len(others)})


def _masks_without_image(
    rest: Sequence[PlacedFile], of_image: Mapping[PurePosixPath, Sequence[PurePosixPath]]
) -> list[PlacedFile]:
    """Return files that call themselves masks in a way that no image with a mask does, where there are such images."""

    def styles(file: PlacedFile) -> set[str]:
        return {stem.style for stem in named_masks(file.stem)}

    of_images = set().union(*(styles(file) for file in rest if file.path in of_image))
    return [file for file in rest if of_image and file.path not in of_image and styles(file) - of_images]


def _patterns(matches: Iterable[_Match]) -> dict[MaskReading, tuple[str, list[PurePosixPath]]]:
    masks: dict[MaskReading, list[_Match]] = defaultdict(list)
    for match in matches:
        masks[match.reading].append(match)
    return {
        reading: (
            reading.pattern(paths := [m.mask.path for m in found], any(m.numbered for m in found)),
            paths,
        )
        for reading, found in masks.items()
    }


def _pairing(
    placed: Sequence[PlacedFile], images: Sequence[PlacedFile], masks: Sequence[PlacedFile], matches: Sequence[_Match]
) -> Pairing:
    channels = any(match.image.has_channels and not match.reading.image.endswith("{id}") for match in matches)
    of_image: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    doubled: dict[PurePosixPath, PurePosixPath] = {}
    first: dict[tuple[PurePosixPath, str], PurePosixPath] = {}
    for match in sorted(matches, key=lambda match: (match.numbered, match.mask.path)):
        name = composed(match.mask.stem)
        before = first.setdefault((match.image.path, name), match.mask.path)
        if before != match.mask.path:
            doubled[match.mask.path] = before
        else:
            of_image[match.image.path].append(match.mask.path)
    matched = {match.mask.path for match in matches}
    orphans = _masks_without_image([file for file in images if file.path not in matched], of_image)
    no_images = matched | {file.path for file in orphans}
    chosen = [file for file in images if file.path not in no_images]
    paired = [PairedImage(f.image_id(channels), f.path, tuple(of_image.get(f.path, ()))) for f in chosen]
    unpaired = {file.path: file.image_id() for file in (*masks, *orphans) if file.path not in matched}
    known = matched | unpaired.keys() | {file.path for file in chosen}
    return Pairing(
        images=sorted(paired, key=lambda image: image.id),
        patterns=dict(_patterns(matches).values()),
        unpaired=unpaired,
        doubled=doubled,
        unused=[file.path for file in placed if file.path not in known],
    )
