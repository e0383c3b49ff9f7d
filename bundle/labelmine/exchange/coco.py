"""COCO instances: an annotation per object, masks as run lengths.

``images/`` and ``annotations/instances_<train|val|test>.json``. Objects are the 8-connected parts of a class. Pixels
that abstain are a region with ``iscrowd`` 1 of each class, which COCO's evaluation passes over. Beside COCO's own keys,
images say whose label they have (``source``, ``drawn_by``, ``score``, ``group``), annotations their image's ``score``.

Source: https://cocodataset.org/#format-data; run lengths are those of pycocotools (extra ``labelmine[export]``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as connected_components

from labelmine.atomic import write_whole
from labelmine.exchange.case_files import cases_of, write_image
from labelmine.exchange.label_set import LabelSet
from labelmine.extras import extra
from labelmine.progress import progress


def write_coco(labels: LabelSet, folder: Path) -> dict[str, Any]:
    """Write images and annotations.

    Args:
        labels: What goes out; slices of volumes as pictures.
        folder: Where to.

    Returns:
        Figures for ``export.json``.

    Raises:
        ConfigError: pycocotools is missing.
    """
    rle = extra("pycocotools.mask", "export", "form: coco needs")
    categories = [{"id": number, "name": name} for number, name in enumerate(labels.classes.names, start=1)]
    files: dict[str, dict[str, Any]] = {}
    image_numbers, annotation_numbers, objects = count(1), count(1), 0
    for case in progress(cases_of(labels, volumes=False), "export"):
        (image,) = case.images
        mask, weight = labels.read_label(image)
        height, width = weight.shape
        content = files.setdefault(case.split, {"info": {"description": labels.name}, "licenses": [], "images": [],
                                                "annotations": [], "categories": categories})  # fmt: skip
        number = next(image_numbers)
        file_name = write_image(case, labels, folder / "images" / case.name).name
        facts = {key: value for key, value in labels.facts(image).items() if key not in ("id", "split")}
        facts |= {"id_in_set": image.id}
        content["images"].append({"id": number, "file_name": file_name, "height": height, "width": width, **facts})
        for annotation in _annotations(mask, weight, rle):
            score = {} if image.score is None else {"score": facts["score"]}
            content["annotations"].append({"id": next(annotation_numbers), "image_id": number, **annotation, **score})
            objects += not annotation["iscrowd"]
    for split, content in files.items():
        write_whole(
            folder / "annotations" / f"instances_{split}.json", json.dumps(content, ensure_ascii=False).encode()
        )
    return labels.figures | {"objects": objects}


def _annotations(mask: NDArray[np.bool_], weight: NDArray[np.float32], rle: Any) -> Iterator[dict[str, Any]]:
    """Objects of one image and what abstains.

    Args:
        mask: (K, H, W).
        weight: (H, W) in [0, 1].
        rle: ``pycocotools.mask``.
    """
    for category, channel in enumerate(mask, start=1):
        parts, total = connected_components(channel, connectivity=2, return_num=True)
        for number in range(1, total + 1):
            yield _annotation(parts == number, category, rle, crowd=False)
        if (weight == 0).any():
            yield _annotation(weight == 0, category, rle, crowd=True)


def _annotation(pixels: NDArray[np.bool_], category: int, rle: Any, crowd: bool) -> dict[str, Any]:
    runs = rle.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {
        "category_id": category,
        "segmentation": {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode("ascii")},
        "area": int(rle.area(runs)),
        "bbox": [float(number) for number in rle.toBbox(runs)],
        "iscrowd": int(crowd),
    }
