"""Images and their masks where the ``mask_pattern`` knob says how they belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from labelmine.data.file_names import CHANNEL
from labelmine.data.headers import without_suffix
from labelmine.data.mask_pattern import MaskPattern, Names
from labelmine.data.pairing import PairedImage, Pairing, masks_beside
from labelmine.data.placed_file import PlacedFile, place_files
from labelmine.errors import DataError


def pair_by_pattern(files: Iterable[PurePosixPath], pattern: MaskPattern) -> Pairing:
    """Find images and masks by a pattern; several masks of one image are united.

    Args:
        files: Image files, masks among them, relative to the set.
        pattern: The ``mask_pattern`` knob.

    Raises:
        DataError: A pattern that no mask or no image fits, or a mask of two images.
    """
    placed = place_files(files)
    images = _images(placed, pattern)
    by_names: dict[Names, list[PlacedFile]] = defaultdict(list)
    for file in images:
        names = pattern.names_of_image(file.path, file.image_id())
        if names is not None:
            by_names[names].append(file)
    masks: dict[PurePosixPath, PlacedFile] = {}
    for file in placed:
        found = next((by_names[names] for names in pattern.names_of_mask(file.path) if names in by_names), [])
        others = [image for image in found if image != file]
        if len(others) > 1:
            raise DataError(
                f"mask_pattern: {file.path} would be the mask of {len(others)} images ({others[0].path}, "
                f"{others[1].path}); say where the image lies, as in '{{folder}}/masks/{{name}}'"
            )
        if others:
            masks[file.path] = others[0]
    return _pairing(placed, [file for names in by_names.values() for file in names], masks, pattern)


def _images(placed: Sequence[PlacedFile], pattern: MaskPattern) -> list[PlacedFile]:
    """Files that may be images: what the pattern says, else the folders of images, else all that is no mask."""
    if not pattern.mask:
        return list(placed)
    beside = masks_beside([file for file in placed if not file.is_mask])
    rest = [file for file in placed if file.path not in beside or any(pattern.names_of_mask(file.path))]
    if pattern.image is not None:
        return rest
    rest = [file for file in rest if not file.is_mask and not any(pattern.names_of_mask(file.path))]
    return [file for file in rest if file.is_image] or rest


def _image_id(file: PlacedFile, channels: bool) -> str:
    return str(without_suffix(file.path)) if file.is_mask else file.image_id(channels)


def _pairing(
    placed: Sequence[PlacedFile],
    images: Sequence[PlacedFile],
    image_of: dict[PurePosixPath, PlacedFile],
    pattern: MaskPattern,
) -> Pairing:
    chosen = [file for file in images if file.path not in image_of]
    known = image_of.keys() | {file.path for file in chosen}
    unpaired = {
        file.path: dict(names).get("id", "/".join(text for _, text in names))
        for file in placed
        if file.path not in known and (names := next(pattern.names_of_mask(file.path), None))
    }
    if not chosen or (pattern.mask and not image_of and not unpaired):
        what = "mask" if chosen else "image"
        example = f"; files are named like {placed[0].path}" if placed else ""
        raise DataError(f"mask_pattern: no {what} fits {pattern.text!r}{example}")
    channels = pattern.image is not None and bool(CHANNEL.fullmatch(PurePosixPath(pattern.image).name))
    masks: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for mask, image in image_of.items():
        masks[image.path].append(mask)
    paired = [PairedImage(_image_id(f, channels), f.path, tuple(masks[f.path])) for f in chosen]
    return Pairing(
        images=sorted(paired, key=lambda image: image.id),
        patterns={pattern.text: list(image_of)} if pattern.mask else {},
        unpaired=unpaired,
        unused=[file.path for file in placed if file.path not in known and file.path not in unpaired],
    )
