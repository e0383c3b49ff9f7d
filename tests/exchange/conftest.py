"""Masks of DICOM images in the forms that hospitals take."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labelmine.data import ClassMap, Item, find_items, read_label
from labelmine.exchange.dicom_seg import SegmentationForm
from labelmine.exchange.dicom_stacks import Stack, stacks_of
from labelmine.exchange.drawn_by import Algorithm
from labelmine.exchange.identity import Identity
from labelmine.exchange.segment_terms import segment_terms

NAMES = ("lesion", "thing")
ALGORITHM = Algorithm("labelmine student", "ab" * 32, {"tta": "False"})


@pytest.fixture(scope="session")
def dciodvfy() -> Callable[[Path], list[str]]:
    """``dciodvfy(file)``: the errors that Debian's dicom3tools find in a file."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not there: apt-get install dicom3tools")

    def errors(path: Path) -> list[str]:
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
        return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]

    return errors


@pytest.fixture(scope="session")
def form() -> Callable[..., Any]:
    """``form(folder, kind)``: a form of two classes, "lesion" and "thing"."""

    def make(folder: Path, kind: type[Any] = SegmentationForm, names: Any = NAMES, **options: Any) -> Any:
        identity = options.pop("identity", Identity())
        terms = segment_terms(names, options.pop("segments", {}))
        return kind(folder, names, identity, terms, options.pop("algorithm", ALGORITHM), **options)

    return make


@pytest.fixture(scope="session")
def the_stack() -> Callable[[Path], Stack]:
    """``the_stack(folder)``: that of a folder of images that make one."""

    def find(folder: Path) -> Stack:
        (stack,) = stacks_of(find_items(folder))
        return stack

    return find


@pytest.fixture(scope="session")
def masks_of() -> Callable[[Stack], NDArray[np.bool_]]:
    """``masks_of(stack)``: rectangles of two classes that overlap, another in each image; the last image is empty."""

    def draw(stack: Stack) -> NDArray[np.bool_]:
        height, width = stack.size
        masks = np.zeros((len(stack.frames), height, width, 2), dtype=bool)
        for index in range(max(len(stack.frames) - 1, 1)):
            top = height // 4 + index % 3
            masks[index, top : height // 2 + 1, width // 4 : width // 2 + 1, 0] = True
            masks[index, top + 1 : 3 * height // 4, width // 3 : 2 * width // 3 + 1, 1] = True
        return masks

    return draw


@pytest.fixture(scope="session")
def gold_in() -> Callable[..., dict[str, NDArray[np.bool_]]]:
    """``gold_in(folder)``: masks (H, W, 2) by image id, as our own reader finds them for the images of a folder."""

    def read(folder: Path) -> dict[str, NDArray[np.bool_]]:
        classes = ClassMap(NAMES, (1, 2))
        items: list[Item] = find_items(folder)
        return {item["id"]: np.moveaxis(read_label(item, item["label"], classes) > 0, 0, -1) for item in items}

    return read
