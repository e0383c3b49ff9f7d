"""What one image and its gold mask are like, before anything is trained: size, spacing, share of classes, lesions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from labelmine.data import ClassMap, Item, Window, pixel_spacing, read_image, read_label
from labelmine.data.dicom_files import open_dicom
from labelmine.data.headers import file_kind
from labelmine.errors import DataError
from labelmine.evaluation.lesions import gold_lesions
from labelmine.progress import progress

#: Images that are looked at; of larger sets so many are drawn.
MAX_IMAGES = 2000


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """One image.

    Attributes:
        id: Of the item.
        format: By content: ``JPEG``, ``PNG``, ``NIfTI``, ``DICOM`` ...
        modality: What DICOM says (``CT``, ``US`` ...); ``grey`` or ``colour`` of pictures; else empty.
        size: (height, width) in pixels.
        spacing: (row, column) in mm; None where the file does not say.
        areas: Share of the image of each class; empty where there is no gold.
        lesions: Shares of the image of each lesion, by class; a lesion is an 8-connected component.
        touches_border: Whether foreground lies on the border of the image.
    """

    id: str
    format: str
    modality: str
    size: tuple[int, int]
    spacing: tuple[float, float] | None = None
    areas: tuple[float, ...] = ()
    lesions: tuple[tuple[float, ...], ...] = ()
    touches_border: bool = False

    @property
    def all_lesions(self) -> list[float]:
        """Shares of the image of all lesions."""
        return [share for shares in self.lesions for share in shares]


def measure_images(
    items: Sequence[Item], classes: ClassMap, window: Window | None = None, slice_axis: int = -1, seed: int = 0
) -> list[ImageFacts]:
    """Look at the images of a set, or at ``MAX_IMAGES`` of them, drawn at random; those that cannot be read are left.

    Args:
        items: The images.
        classes: How mask values become classes.
        window: (centre, width) that deep images are read with.
        slice_axis: Axis along which volumes are cut.
        seed: Of the draw.
    """
    chosen = [items[i] for i in sorted(np.random.default_rng(seed).permutation(len(items))[:MAX_IMAGES])]

    def measure(item: Item) -> ImageFacts | None:
        try:
            return image_facts(item, classes, window, slice_axis)
        except DataError:
            return None

    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        found = progress(pool.map(measure, chosen), "look at images", total=len(chosen), leave=False)
        return [facts for facts in found if facts is not None]


def image_facts(item: Item, classes: ClassMap, window: Window | None = None, slice_axis: int = -1) -> ImageFacts:
    """Measure one image and its mask; arguments as for ``measure_images``.

    Raises:
        DataError: A file that cannot be read.
    """
    image = read_image(item, window, slice_axis)
    size = (image.shape[0], image.shape[1])
    form, modality = _form(Path(item["image"]))
    facts = ImageFacts(
        id=item["id"], format=form, modality=modality, size=size, spacing=pixel_spacing(item, slice_axis)
    )
    if "label" not in item:
        return facts
    gold = read_label(item, item["label"], classes, slice_axis) > 0
    lesions = [gold_lesions(channel[None], channel[None])[0] / gold[0].size for channel in gold]
    border = [gold[:, 0].any(), gold[:, -1].any(), gold[:, :, 0].any(), gold[:, :, -1].any()]
    return replace(
        facts,
        areas=tuple(float(channel.mean()) for channel in gold),
        lesions=tuple(tuple(shares.tolist()) for shares in lesions),
        touches_border=any(border),
    )


def _form(path: Path) -> tuple[str, str]:
    """Format by content, and modality as far as the file says."""
    kind = file_kind(path)
    if kind == "nifti":
        return "NIfTI", ""
    if kind == "dicom":
        return "DICOM", str(open_dicom(path, ["Modality"]).get("Modality") or "")
    try:
        with Image.open(path) as picture:
            return picture.format or path.suffix, "grey" if picture.mode in ("L", "1", "I", "F", "I;16") else "colour"
    except OSError:  # what Pillow does not read and others do
        return path.suffix.lstrip(".").upper(), ""
