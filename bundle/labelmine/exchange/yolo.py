"""YOLO segmentation, as Ultralytics reads it: pictures, and a text file of polygons for each.

``images/<train|val|test>/``, ``labels/<train|val|test>/`` and ``data.yaml``. A line is a class, from 0, and the outline
of one object (the 8-connected parts of a class) as x, y in shares of the picture's sides. The form has no holes, which
are filled, no pixels that abstain, and no scores; ``labels.csv`` beside it has these.

Source: https://docs.ultralytics.com/datasets/segment/.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from skimage.measure import find_contours, regionprops
from skimage.measure import label as connected_components

from labelmine.atomic import write_whole
from labelmine.exchange.case_files import cases_of, write_image
from labelmine.exchange.facts import write_facts
from labelmine.exchange.label_set import SPLITS, LabelSet
from labelmine.progress import progress

logger = logging.getLogger(__name__)


def write_yolo(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write pictures, polygons and ``data.yaml``.

    Args:
        labels: What goes out; slices of volumes as pictures.
        folder: Where to.

    Returns:
        Figures for ``export.json``; among them what holes were filled.
    """
    cases = cases_of(labels, volumes=False)
    objects = with_holes = filled = abstaining = 0
    for case in progress(cases, "export"):
        (image,) = case.images
        mask, weight = labels.read_label(image)
        lines = []
        for number, channel in enumerate(mask):
            for outline, hole in outlines(channel):
                lines.append(f"{number} {_coordinates(outline, weight.shape)}\n")
                with_holes += hole > 0
                filled += hole
        objects += len(lines)
        abstaining += int((weight == 0).sum())
        write_image(case, labels, folder / "images" / case.split / case.name)
        write_whole(folder / "labels" / case.split / f"{case.name}.txt", "".join(lines).encode())
    _write_data_yaml(labels, folder)
    write_facts(cases, labels, folder)
    if filled:
        logger.warning("yolo: %d of %d objects have holes, which polygons have not: %d pixels filled",
                       with_holes, objects, filled)  # fmt: skip
    if abstaining:
        logger.warning("yolo: %d pixels abstain, which the form cannot say: they count as drawn", abstaining)
    lost = {"objects_with_holes": with_holes, "pixels_filled": filled, "pixels_that_abstain": abstaining}
    return labels.figures | {"objects": objects, "lost": lost}


def outlines(mask: NDArray[np.bool_]) -> list[tuple[NDArray[np.float64], int]]:
    """Return the outline of each object and how many pixels of holes it has.

    Outlines run midway between pixels of the object and those beside it, so that the pixels whose centres lie inside
    are those of the object, holes filled.

    Args:
        mask: (H, W).

    Returns:
        Corners (N, 2) as (x, y) in pixels, counted from the corner of the first pixel; the last is joined to the first.
    """
    found = []
    for part in regionprops(connected_components(mask, connectivity=2)):
        whole = binary_fill_holes(part.image)
        (contour,) = find_contours(np.pad(whole, 1).astype(np.uint8), 0.5, fully_connected="high")
        top, left = part.bbox[:2]
        corners = _without_straights(contour[:-1, ::-1]) + np.array([left - 0.5, top - 0.5])
        found.append((corners, int(whole.sum() - part.image.sum())))
    return found


def _without_straights(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of a closed outline at which its direction changes."""
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(corners[turns])


def _coordinates(corners: NDArray[np.float64], size: tuple[int, ...]) -> str:
    return " ".join(f"{number:.6f}" for number in (corners / (size[1], size[0])).ravel())


def _write_data_yaml(labels: LabelSet, folder: Path) -> None:
    """Name folders relative to the file itself, as Ultralytics takes them where no ``path`` is given."""
    used = {image.split for image in labels.images}
    content: dict[str, Any] = {split: f"images/{split}" for split in SPLITS if split in used}
    content["names"] = dict(enumerate(labels.classes.names))
    write_whole(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
