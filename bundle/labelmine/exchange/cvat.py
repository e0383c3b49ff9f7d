"""Annotations of CVAT: "CVAT for images 1.1" (XML) written and read, "Segmentation mask 1.1" read.

Sources: https://docs.cvat.ai/docs/other/xml_format and .../dataset_management/formats/format-smask. A mask's ``rle``
are the lengths of runs, row by row in its bounding box, background first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from skimage.draw import ellipse, polygon

from labelmine.errors import DataError

Masks = dict[str, NDArray[np.bool_]]


def image_element(name: str, mask: NDArray[np.bool_], class_names: Sequence[str], number: int) -> ElementTree.Element:
    """Return the ``<image>`` of one picture.

    Args:
        name: File name of the picture, as it is uploaded.
        mask: (K, H, W).
        class_names: K labels.
        number: Place in the task, from 0.
    """
    height, width = mask.shape[1:]
    image = ElementTree.Element("image", id=str(number), name=name, width=str(width), height=str(height))
    for label, channel in zip(class_names, mask, strict=True):
        if channel.any():
            box, runs = encode_rle(channel)
            keys = dict(zip(("left", "top", "width", "height"), map(str, box), strict=True))
            of = {"label": label, "source": "auto", "occluded": "0", "rle": ", ".join(map(str, runs)), **keys}
            ElementTree.SubElement(image, "mask", of, z_order="0")
    return image


def encode_cvat_xml(images: Iterable[ElementTree.Element], class_names: Sequence[str]) -> bytes:
    """Return the content of ``annotations.xml``.

    Args:
        images: Of ``image_element``.
        class_names: K labels of the task; CVAT goes by those it has, datumaro finds them here alone.
    """
    pictures = list(images)
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    ElementTree.SubElement(task, "name").text = "labelmine"
    ElementTree.SubElement(task, "size").text = str(len(pictures))
    ElementTree.SubElement(task, "mode").text = "annotation"
    labels = ElementTree.SubElement(task, "labels")
    for name in class_names:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "attributes")
    root.extend(pictures)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def decode_cvat_xml(content: bytes) -> dict[str, tuple[tuple[int, int], Masks]]:
    """Read masks, polygons, boxes and ellipses by picture.

    Returns:
        Per ``name`` of an image: its (H, W), and one (H, W) bool per label.

    Raises:
        DataError: No "CVAT for images 1.1", or a shape that cannot be filled.
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise DataError("declares XML entities, which CVAT never writes; export the task again")
    try:
        root = ElementTree.fromstring(content)
        if root.tag != "annotations" or root.find("track") is not None:
            raise DataError('expected annotations of pictures; export the task as "CVAT for images 1.1"')
        return {image.attrib["name"]: _shapes(image) for image in root.iter("image")}
    except (ElementTree.ParseError, KeyError, ValueError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f'cannot be read as "CVAT for images 1.1" ({error!r}); export the task again') from error


def encode_rle(mask: NDArray[np.bool_]) -> tuple[tuple[int, int, int, int], list[int]]:
    """Return (left, top, width, height) of what is marked, and its runs.

    Args:
        mask: (H, W) with at least one pixel.

    Example:
        >>> encode_rle(np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1]], dtype=bool))
        ((1, 1, 2, 2), [0, 1, 1, 2])
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left, bottom, right = rows[0], columns[0], rows[-1], columns[-1]
    inside = mask[top : bottom + 1, left : right + 1].ravel()
    ends = np.flatnonzero(np.diff(inside)) + 1
    runs = np.diff(np.concatenate([[0], ends, [inside.size]]))
    first = [0] if inside[0] else []
    return (int(left), int(top), int(right - left + 1), int(bottom - top + 1)), first + [int(run) for run in runs]


def decode_rle(runs: Sequence[int], width: int, height: int) -> NDArray[np.bool_]:
    """Undo ``encode_rle``: (height, width) bool of the bounding box.

    Raises:
        DataError: Runs that do not fill the box.
    """
    if sum(runs) != width * height or min(runs, default=-1) < 0:
        raise DataError(f"a mask of {width} x {height} has runs of {sum(runs)} pixels in all; export the task again")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)


def read_labelmap(path: Path) -> dict[str, tuple[int, int, int]]:
    """Read colours by label from ``labelmap.txt`` of "Segmentation mask 1.1", background left out.

    Raises:
        DataError: A missing file or a line of another form.
    """
    if not path.is_file():
        raise DataError(f"{path.name}: missing beside SegmentationClass/; unpack CVAT's whole export")
    colors = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, color = line.split(":")[:2]
            red, green, blue = (int(level) for level in color.split(","))
        except ValueError as error:
            raise DataError(f"{path.name}: expected lines `label:r,g,b::`, got {line!r}") from error
        if name != "background":
            colors[name] = (red, green, blue)
    return colors


def _shapes(image: ElementTree.Element) -> tuple[tuple[int, int], Masks]:
    size = (int(image.attrib["height"]), int(image.attrib["width"]))
    masks: Masks = {}
    for shape in sorted(image, key=lambda shape: int(shape.attrib.get("z_order", 0))):
        if shape.tag in ("mask", "polygon", "box", "ellipse"):
            own = masks.setdefault(shape.attrib["label"], np.zeros(size, dtype=bool))
            own |= _filled(shape, size)
        elif shape.tag != "tag":
            raise DataError(f"{image.attrib['name']}: a {shape.tag} has no inside; mark it as a mask or a polygon")
    return size, masks


def _filled(shape: ElementTree.Element, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) of one shape; coordinates of CVAT count from the corner of the first pixel, not from its centre."""
    of, mask = shape.attrib, np.zeros(size, dtype=bool)
    if float(of.get("rotation", 0)):
        raise DataError(f"a {shape.tag} is turned by {of['rotation']} degrees; convert it to a mask in CVAT")
    if shape.tag == "mask":
        left, top, width, height = (int(float(of[key])) for key in ("left", "top", "width", "height"))
        marks = decode_rle([int(run) for run in of["rle"].split(",")], width, height)
        if min(left, top) < 0 or left + width > size[1] or top + height > size[0]:
            raise DataError(f"a mask reaches out of its picture of {size[1]} x {size[0]}; export the task again")
        mask[top : top + height, left : left + width] = marks
    elif shape.tag == "ellipse":
        mask[ellipse(float(of["cy"]) - 0.5, float(of["cx"]) - 0.5, float(of["ry"]), float(of["rx"]), size)] = True
    else:
        xy = _corners(shape)
        mask[polygon(xy[:, 1] - 0.5, xy[:, 0] - 0.5, size)] = True
    return mask


def _corners(shape: ElementTree.Element) -> NDArray[np.float64]:
    of = shape.attrib
    if shape.tag == "box":
        left, top, right, bottom = (float(of[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return np.array([[float(number) for number in point.split(",")] for point in of["points"].split(";")])
