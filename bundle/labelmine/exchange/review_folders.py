"""Images and pseudo labels as folders that MONAI Label, 3D Slicer and CVAT open, to be corrected there.

- ``monai_label/``: a local datastore, ``<id>.nii.gz`` and ``labels/original/<id>.nii.gz`` with values 1..K; what an
  expert submits appears in ``labels/final``.
- ``slicer/``: ``<id>.nii.gz`` and ``<id>.seg.nrrd``; the segmentation is saved in its place.
- ``cvat/``: ``images/<id>.png`` and ``annotations.xml`` ("CVAT for images 1.1"), and ``labels.json`` for a new task.

Slices and frames are exported one by one, as pictures of 8 bits; NIfTI pictures are grey, as Slicer's editor takes no
colour. Pixels are written anew, so that nothing of a file's header (names, dates, places) goes along. A file that was
changed since is never written over; ``labelmine.exchange.corrections`` reads them back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from labelmine.atomic import write_whole
from labelmine.data.picture_volumes import encode_picture_volume
from labelmine.data.png import encode_png
from labelmine.errors import DataError
from labelmine.exchange.corrected_masks import CVAT_XML, SEG_SUFFIX, TOOL_FOLDERS
from labelmine.exchange.corrections import flat_name
from labelmine.exchange.cvat import encode_cvat_xml, image_element
from labelmine.exchange.seg_nrrd import encode_seg_nrrd
from labelmine.exchange.written_files import WrittenFiles

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
GUIDE = """Images whose correction should help most, with the masks that labelmine gave them. Use one of the folders:

monai_label  monailabel start_server --app APP --studies monai_label; submitted masks go to labels/final.
slicer       Drop <id>.nii.gz and <id>.seg.nrrd into 3D Slicer, correct in the Segment Editor, save in place. Save a
             mask that was right already, too: a file that is as it was counts as not seen.
cvat         Make a task: labels.json as raw labels, images/ as data; upload annotations.xml as "CVAT for images 1.1".
             Export the task as "CVAT for images 1.1" or "Segmentation mask 1.1" and unpack it. All its pictures count.

Then train with the corrected masks as gold:
    python -m monai.bundle run --config_file configs/mine.yaml ... --output_dir NEW --corrections FOLDER
where FOLDER is review/monai_label, review/slicer or CVAT's unpacked export.
"""


@dataclass(frozen=True)
class ReviewCase:
    """One image to correct.

    Attributes:
        id: Its id.
        image: (H, W, 3) in [0, 1], RGB.
        mask: (K, H, W) bool, the pseudo label.
    """

    id: str
    image: NDArray[np.float32]
    mask: NDArray[np.bool_]


def write_review_folders(folder: str | Path, cases: Iterable[ReviewCase], class_names: Sequence[str]) -> None:
    """Write the folders of all tools, and ``README.txt``; what an earlier run wrote and nobody changed is replaced.

    Args:
        folder: Where ``monai_label/``, ``slicer/`` and ``cvat/`` go.
        cases: Images to correct, the most urgent first.
        class_names: K names.

    Raises:
        DataError: Two images whose ids would name one file.
    """
    root = Path(folder)
    monai_label, slicer, cvat = (WrittenFiles(root / name) for name in TOOL_FOLDERS)
    names: dict[str, str] = {}
    elements: list[ElementTree.Element] = []
    for case in cases:
        name = flat_name(case.id)
        if names.setdefault(name, case.id) != case.id:
            raise DataError(f"{names[name]} and {case.id} would both be exported as {name}; rename one of the images")
        _write_volumes(case, name, class_names, monai_label, slicer)
        cvat.put(f"images/{name}.png", encode_png(_bytes(case.image)))
        elements.append(image_element(f"{name}.png", case.mask, class_names, len(elements)))
    cvat.put(CVAT_XML, encode_cvat_xml(elements, class_names))
    cvat.put("labels.json", json.dumps([{"name": name, "attributes": []} for name in class_names]).encode())
    for files in (monai_label, slicer, cvat):
        files.drop_others()
    (root / TOOL_FOLDERS[0] / "labels" / "final").mkdir(parents=True, exist_ok=True)
    write_whole(root / "README.txt", GUIDE.encode())


def _write_volumes(
    case: ReviewCase, name: str, class_names: Sequence[str], monai_label: WrittenFiles, slicer: WrittenFiles
) -> None:
    grey = encode_picture_volume(_bytes(case.image @ LUMINANCE))
    numbers = np.arange(1, len(case.mask) + 1)[:, None, None]
    label = encode_picture_volume((case.mask * numbers).max(axis=0).astype(np.uint8))
    monai_label.put(f"{name}.nii.gz", grey)
    monai_label.put(f"labels/original/{name}.nii.gz", label)
    slicer.put(f"{name}.nii.gz", grey)
    slicer.put(f"{name}{SEG_SUFFIX}", encode_seg_nrrd(case.mask, class_names))


def _bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray((np.clip(pixels, 0, 1) * 255).round(), dtype=np.uint8)
