"""Whether a mask lies on its image: axes of the formats, EXIF turns, and sizes."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from labelmine.data.headers import file_kind
from labelmine.data.items import Item
from labelmine.errors import DataError

EXIF_TURNS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "flipped upside down",
    5: "mirrored and turned by 90 degrees",
    6: "turned by 90 degrees clockwise",
    7: "mirrored and turned by 90 degrees",
    8: "turned by 90 degrees counter-clockwise",
}
#: Sides whose ratios differ by less are the same picture at another resolution.
SAME_SHAPE = 0.02


def check_formats(item: Item) -> None:
    """Refuse a gold mask whose format orders the axes otherwise than its image's.

    NIfTI counts x first, pictures and DICOM count rows first, so that a square mask would be mirrored without a sign.

    Raises:
        DataError: A picture as mask of a NIfTI image, or a NIfTI mask of a DICOM image.
    """
    image, mask = Path(item["image"]), Path(item["label"])
    kinds = (file_kind(image), file_kind(mask))
    if kinds in (("nifti", "picture"), ("dicom", "nifti")):
        names = {"nifti": "NIfTI (x first)", "picture": "a picture (rows first)", "dicom": "DICOM (rows first)"}
        raise DataError(
            f"{mask.name}: mask is {names[str(kinds[1])]}, its image {names[str(kinds[0])]}: their axes differ, so the "
            f"mask would lie mirrored; save both in one format ({image.name} and its mask)"
        )


def check_exif_turn(item: Item, mask_size: tuple[int, int], image_size: tuple[int, int]) -> str:
    """Refuse a mask that may not have been turned with its image.

    Args:
        item: Item with ``image`` and ``label``.
        mask_size: (H, W) of the mask, turned as its own EXIF says.
        image_size: (H, W) of the image, likewise.

    Returns:
        What was assumed; "" where neither is turned, or both are turned alike.

    Raises:
        DataError: EXIF turns one of the two only, and their sizes do not show that they fit.
    """
    image, mask = Path(item["image"]), Path(item["label"])
    if file_kind(image) != "picture" or file_kind(mask) != "picture":
        return ""
    turns = _exif_turn(image), _exif_turn(mask)
    if turns[0] == turns[1]:
        return ""
    is_quarter, is_square = turns[0] in (5, 6, 7, 8) and turns[1] == 1, image_size[0] == image_size[1]
    if is_quarter and not is_square and mask_size == image_size:
        return "masks without EXIF turn have the size of their turned image: taken to be drawn on the turned image"
    parts = [f"its image {image.name}", "the mask"]
    turned, plain = parts if turns[0] != 1 else reversed(parts)
    turn = EXIF_TURNS[turns[0] if turns[0] != 1 else turns[1]]
    raise DataError(
        f"{mask.name}: {turned} is {turn} by its EXIF orientation, {plain} is not turned alike, so the mask may lie on "
        "the stored or on the turned picture; turn the pixels themselves and remove the EXIF tag of both"
    )


def check_size(mask_size: tuple[int, ...], image_size: tuple[int, ...], path: str | Path) -> None:
    """Refuse a mask whose size is not its image's, and say what may have happened to it.

    Args:
        mask_size: (H, W).
        image_size: (H, W).
        path: Mask file, for the message.

    Raises:
        DataError: Sizes that differ.
    """
    if mask_size != image_size:
        (height, width), (rows, columns) = mask_size, image_size
        raise DataError(
            f"{Path(path).name}: mask is {width} x {height} pixels, its image {columns} x {rows} "
            f"({_cause(mask_size, image_size)}); export the mask at the image's size"
        )


def _cause(mask_size: tuple[int, ...], image_size: tuple[int, ...]) -> str:
    (height, width), (rows, columns) = mask_size, image_size
    if (height, width) == (columns, rows):
        return "turned by 90 degrees?"
    if abs(height * columns / (width * rows) - 1) < SAME_SHAPE:
        return f"saved at another resolution, {height / rows:.3g} times the image's?"
    if height <= rows and width <= columns:
        return "cropped?"
    if height >= rows and width >= columns:
        return "of the image before it was cropped?"
    return "of another image?"


def _exif_turn(path: Path) -> int:
    try:
        with Image.open(path) as picture:
            turn = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except UnidentifiedImageError:  # read by another library, which does not turn
        return 1
    return turn if turn in EXIF_TURNS else 1
