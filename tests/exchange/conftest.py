"""Masks of DICOM images in the forms that hospitals take; label sets with all that other forms have trouble with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from labelmine.data import ClassMap, Item, LabelStore, find_items, read_label
from labelmine.exchange.dicom_seg import SegmentationForm
from labelmine.exchange.dicom_stacks import Stack, stacks_of
from labelmine.exchange.drawn_by import Algorithm
from labelmine.exchange.identity import Identity
from labelmine.exchange.label_set import LabelledImage, LabelSet
from labelmine.exchange.segment_terms import segment_terms

NAMES = ("lesion", "thing")
ALGORITHM = Algorithm("labelmine student", "ab" * 32, {"tta": "False"})
SIZE = (20, 28)
CLASSES = ClassMap(("lesion", "scar"), (3, 7))
#: Patient's name and number as files, headers and groups hold them; no export may.
SECRETS = ("Erika Mustermann", "4711")
#: id, group, split, source; f is nearly the same as p/a.
PICTURES = (
    ("p/a", "4711", "train", "gold"),
    ("p/b", "4711", "train", "gold"),
    ("c", "c", "val", "gold"),
    ("d", "d", "test", "gold"),
    ("e", "e", "train", "pseudo"),
    ("f", "f", "train", "pseudo"),
    ("g", "g", "train", "gold"),
    ("h", "h", "train", "gold"),
)
AFFINE = np.array([[-0.5, 0, 0, 40], [0, 0.7, 0, -30], [0, 0, 2, 10], [0, 0, 0, 1]])


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


def masks(seed: int, size: tuple[int, ...] = SIZE) -> np.ndarray:
    """(2, H, W): a ring with an island, one pixel, parts that touch at a corner; and something else."""
    mask = np.zeros((2, *size), dtype=bool)
    mask[0, 2:9, 2:9], mask[0, 4:7, 4:7], mask[0, 5, 5] = True, False, True
    mask[0, 12, 3 + seed % 5] = mask[0, 10, 14] = mask[0, 11, 15] = True
    mask[1, 12:19, 8 + seed % 3 : 24] = True
    mask[1, :3, -4:] = seed % 2 == 0
    return mask


def weights(size: tuple[int, ...] = SIZE) -> np.ndarray:
    weight = np.full(size, 0.6, dtype=np.float32)
    weight[8:10], weight[0] = 0, 1
    return weight


@pytest.fixture
def make_label_set(tmp_path: Path) -> Callable[..., LabelSet]:
    """``make_label_set(colour=False)``: eight pictures of two classes, of which ``e`` and ``f`` are mined."""

    def make(colour: bool = False, overlap: bool = False, **changes: Any) -> LabelSet:
        root, rng = tmp_path / SECRETS[0], np.random.default_rng(0)
        store = LabelStore(tmp_path / "labels", CLASSES)
        images = []
        for number, (name, group, split, source) in enumerate(PICTURES):
            item = Item(id=name, image=str(root / "images" / f"{name}.png"), group=group)
            pixels = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8) if colour and number else None
            _save(Path(item["image"]), rng.integers(0, 256, SIZE).astype(np.uint8) if pixels is None else pixels)
            mask = masks(number)
            if source == "gold":
                item["label"] = str(root / "masks" / f"{name}.png")
                _save(Path(item["label"]), CLASSES.decode(mask))
            else:
                mask[1, 5:8, 2:12] |= overlap
                store.write(item, mask, {"score": 0.8765432, "accepted": True}, weights())
            mined = {"drawn_by": "blend", "score": 0.8765432} if source == "pseudo" else {}
            images.append(LabelledImage(item, split, source, **mined))  # type: ignore[arg-type]
        near = (("p/a", "f", 2), ("gone", "c", 1))
        return LabelSet(**{"name": "tiny", "classes": CLASSES, "images": images, "left_out": {"rejected": 3},
                           "store": store, "near_duplicates": near, **changes})  # fmt: skip

    return make


@pytest.fixture
def volume_set(tmp_path: Path) -> LabelSet:
    """Gold of two volumes (one trains, one validates), and a third of whose five slices two have labels."""
    store = LabelStore(tmp_path / "labels", CLASSES)
    images = []
    for number, (name, split) in enumerate((("v1", "train"), ("v2", "val"), ("v3", "train"))):
        values = np.random.default_rng(number).integers(-900, 2000, (*SIZE, 5)).astype(np.int16)
        volume = nib.Nifti1Image(values, AFFINE)
        volume.header["descrip"] = SECRETS[0].encode()
        path, label = tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_label.nii.gz"
        nib.save(volume, path)
        planes = [CLASSES.decode(masks(frame)) for frame in range(5)]
        nib.save(nib.Nifti1Image(np.stack(planes, axis=-1), AFFINE), label)
        for frame in range(5):
            item = Item(id=f"{name}_frame{frame:04d}", image=str(path), group=name, frame=frame)
            if name != "v3":
                images.append(LabelledImage(Item({**item, "label": str(label)}), split, "gold"))  # type: ignore[arg-type]
            elif frame in (1, 2):
                store.write(item, masks(frame), {"score": 0.5 + frame / 10, "accepted": True}, weights())
                images.append(LabelledImage(item, "train", "pseudo", "student", 0.5 + frame / 10))
    return LabelSet("volumes", CLASSES, images, {"rejected": 3}, store)


@pytest.fixture
def tells_nothing(tmp_path: Path) -> Callable[[Path], None]:
    """Whether no file of an export names the patient, nor a folder of this machine."""

    def check(folder: Path) -> None:
        for path in folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            for secret in (*SECRETS, str(tmp_path)):
                assert secret.encode() not in content, path.name
                assert secret not in path.relative_to(folder).as_posix()
            if path.suffix == ".gz":
                assert not nib.load(path).header["descrip"].item()

    return check


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", SECRETS[0])
    Image.fromarray(pixels).save(path, pnginfo=text)
