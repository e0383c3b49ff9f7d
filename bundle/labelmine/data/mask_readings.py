"""How masks were found, as patterns that a user could have given; and the stops where there are two, or none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from labelmine.data.file_names import Stem
from labelmine.data.headers import without_suffix
from labelmine.data.mask_pattern import ARROW
from labelmine.data.placed_file import PlacedFile
from labelmine.errors import DataError

SHOWN_WAYS = 4
NO_MASKS = f"--mask_pattern '{{id}} {ARROW}'"


@dataclass(frozen=True)
class MaskReading:
    """One way to find masks: two paths in which the same names stand for the same text.

    Attributes:
        image: Path of an image, as ``imagesTr/{id}_0000``.
        mask: Path of its mask, as ``labelsTr/{id}``.
        own: Whether ``{id}`` is the image's id, so that the mask's side says all.
        documented: Whether it is ``images/`` with ``masks/`` or ``labels/``, beside which other folders are no gold.
    """

    image: str
    mask: str
    own: bool = False
    documented: bool = False

    @classmethod
    def of(cls, image: PlacedFile, image_stem: Stem, mask: PlacedFile, mask_stem: Stem) -> MaskReading:
        """Tell how a mask's path follows from its image's."""
        above, _, _ = image.place
        own = not above and image_stem.style == "{id}" and (image.role is None or image.role.is_plain)
        folders = [file.folder.name.lower() if file.folder is not None else "" for file in (image, mask)]
        documented = folders[0] == "images" and folders[1] in ("masks", "labels")
        return cls(image.template(image_stem), mask.template(mask_stem), own, documented)

    def pattern(self, masks: Collection[PurePosixPath] = (), numbered: bool = False) -> str:
        """Write it as a ``mask_pattern``, with the format where all masks have the same."""
        formats = {path.name[len(without_suffix(path).name) :] for path in masks}
        mask = self.mask + ("*" if numbered else "") + (formats.pop() if len(formats) == 1 else "")
        return mask if self.own else f"{self.image} {ARROW} {mask}"


def knob(pattern: str) -> str:
    """Show the knob as it is typed."""
    return f"--mask_pattern '{pattern}'"


def refuse_two_readings(top: str, patterns: Mapping[str, int]) -> None:
    """Stop where masks can be found in several ways.

    Args:
        top: Name of the set.
        patterns: Pattern -> number of masks.
    """
    ways = "; or ".join(f"{knob(pattern)} ({count} masks)" for pattern, count in patterns.items())
    raise DataError(f"{top}: holds masks of the same images in {len(patterns)} ways; say which is the gold: {ways}")


def refuse_channels(top: str, image: PlacedFile, styles: Sequence[str], mask: PlacedFile, mask_stem: Stem) -> None:
    """Stop where an image has several channels, of which a student sees one."""
    ways = [f"{image.template(Stem('', style))} {ARROW} {mask.template(mask_stem)}" for style in styles]
    raise DataError(
        f"{top}: {mask.path} is the mask of {len(styles)} images ({', '.join(styles)}), as channels of one; say which "
        f"to use: {'; or '.join(map(knob, ways))}"
    )


def refuse_unpaired(top: str, images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> None:
    """Stop where files look like masks, and none is named like an image."""
    shown = f"{len(masks)} files look like masks ({masks[0].path}{', ...' if len(masks) > 1 else ''})"
    folders = dict.fromkeys(file.path.parent for file in masks)
    guesses = [guess_pattern(images, [file for file in masks if file.path.parent == folder]) for folder in folders]
    patterns = [pattern for pattern in guesses if pattern]
    united = united_pattern(patterns)
    ways = [
        *([f"{knob(united)} (each image's are united)"] if united else []),
        *map(knob, patterns[:SHOWN_WAYS]),
        f"{NO_MASKS} for no masks",
    ]
    raise DataError(
        f"{top}: {shown}, and none is named like an image ({images[0].path}{', ...' if len(images) > 1 else ''}). Name "
        f"masks like their images, list the pairs in a CSV (image,label), or say it: {'; or '.join(ways)}"
    )


def guess_pattern(images: Sequence[PlacedFile], masks: Sequence[PlacedFile]) -> str | None:
    """Drop what all names of a folder have in common; what is left may be the same for images and masks.

    From ``images/21_training.tif`` and ``1st_manual/21_manual1.gif``, and others of their kind, ``21`` is left. A
    number stays whole: of ``images/001`` and ``images/002`` all digits are the name's.
    """
    sides = []
    for files in (images, masks):
        files = [file for file in files if file.path.parent == files[0].path.parent]
        head = _common_start([file.stem for file in files]).rstrip("0123456789")
        tail = _common_start([file.stem[len(head) :][::-1] for file in files])[::-1].lstrip("0123456789")
        cores = {file.stem[len(head) : len(file.stem) - len(tail)] for file in files}
        sides.append((f"{files[0].path.parent.as_posix()}/{head}{{id}}{tail}".removeprefix("./"), cores))
    (image, names), (mask, found) = sides
    return f"{image} {ARROW} {mask}" if len(names & found) > len(found) / 2 and "" not in names & found else None


def united_pattern(patterns: Sequence[str]) -> str | None:
    """Write patterns that differ in one folder or file name of the mask as one with a ``*`` there.

    Example:
        >>> united_pattern(["images/{id} -> left/m_{id}", "images/{id} -> right/m_{id}"])
        'images/{id} -> */m_{id}'
    """
    images = {pattern.partition(ARROW)[0] for pattern in patterns}
    parts = list(zip(*(pattern.partition(ARROW)[2].strip().split("/") for pattern in patterns), strict=False))
    varying = [index for index, names in enumerate(parts) if len(set(names)) > 1]
    lengths = {pattern.count("/") for pattern in patterns}
    if len(images) != 1 or len(lengths) != 1 or len(varying) != 1 or any("{" in name for name in parts[varying[0]]):
        return None
    mask = "/".join("*" if index == varying[0] else names[0] for index, names in enumerate(parts))
    return f"{images.pop()}{ARROW} {mask}"


def _common_start(names: Sequence[str]) -> str:
    lowest, highest = min(names), max(names)
    equal = [a == b for a, b in zip(lowest, highest, strict=False)]
    return lowest[: equal.index(False) if False in equal else len(equal)]
