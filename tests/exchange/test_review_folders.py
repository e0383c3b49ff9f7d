from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from labelmine.data import ClassMap, Item, read_label
from labelmine.errors import DataError
from labelmine.exchange import ReviewCase, write_review_folders
from labelmine.exchange.corrections import read_corrections
from labelmine.exchange.seg_nrrd import decode_seg_nrrd, encode_seg_nrrd

NAMES = ("liver", "spleen")


def case(name: str, seed: int = 0) -> ReviewCase:
    rng = np.random.default_rng(seed)
    mask = np.zeros((2, 12, 17), dtype=bool)
    mask[0, 2:7, 3 + seed : 9 + seed] = True
    mask[1, 8:11, 1:4] = True
    return ReviewCase(name, rng.random((12, 17, 3), dtype=np.float32), mask)


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_review_folders(tmp_path / "review", [case("exam/a", 0), case("b (1)", 1)], NAMES)
    return tmp_path / "review"


def test_monai_label_finds_image_and_label_by_equal_names(written: Path) -> None:
    """The rules of ``monailabel.datastore.local``: files of one folder, label and image of equal name."""
    store = written / "monai_label"
    assert {p.name for p in store.glob("*.nii.gz")} == {"exam__a.nii.gz", "b (1).nii.gz"}
    assert {p.name for p in (store / "labels" / "original").iterdir()} == {"exam__a.nii.gz", "b (1).nii.gz"}
    assert (store / "labels" / "final").is_dir()
    image, label = nib.load(store / "exam__a.nii.gz"), nib.load(store / "labels" / "original" / "exam__a.nii.gz")
    assert (image.affine == label.affine).all()
    expected = case("exam/a")
    grey = expected.image @ [0.299, 0.587, 0.114]
    assert pytest.approx(grey * 255, abs=0.51) == image.get_fdata()[..., 0].T
    assert (expected.mask[0] + 2 * expected.mask[1] == label.get_fdata()[..., 0].T).all()


def test_slicer_gets_image_and_segments_in_one_place(written: Path) -> None:
    image = nib.load(written / "slicer" / "b (1).nii.gz")
    segments = decode_seg_nrrd((written / "slicer" / "b (1).seg.nrrd").read_bytes(), (12, 17))
    header = (written / "slicer" / "b (1).seg.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    # NRRD in LPS, NIfTI in RAS: the same voxel is the same point.
    assert "space: left-posterior-superior" in header
    assert "space directions: (1,0,0) (0,1,0) (0,0,1)" in header
    assert (nib.affines.apply_affine(image.affine, [5, 3, 0]) * [-1, -1, 1]).tolist() == [5, 3, 0]
    assert list(segments) == list(NAMES)
    assert (np.stack(list(segments.values())) == case("b", 1).mask).all()


def test_cvat_gets_pictures_and_runs(written: Path) -> None:
    picture = np.asarray(Image.open(written / "cvat" / "images" / "exam__a.png"))
    assert picture / 255 == pytest.approx(case("exam/a").image, abs=0.002)
    root = ElementTree.parse(written / "cvat" / "annotations.xml").getroot()
    assert [image.attrib["name"] for image in root.iter("image")] == ["exam__a.png", "b (1).png"]
    for image, expected in zip(root.iter("image"), (case("exam/a"), case("b", 1)), strict=True):
        for shape, name, mask in zip(image, NAMES, expected.mask, strict=True):
            box = {key: int(shape.attrib[key]) for key in ("left", "top", "width", "height")}
            pixels = [v for n, run in enumerate(shape.attrib["rle"].split(",")) for v in [n % 2] * int(run)]
            found = np.zeros((12, 17), dtype=bool)
            inside = np.array(pixels, dtype=bool).reshape(box["height"], box["width"])
            found[box["top"] : box["top"] + box["height"], box["left"] : box["left"] + box["width"]] = inside
            assert shape.attrib["label"] == name
            assert (found == mask).all()
    labels = json.loads((written / "cvat" / "labels.json").read_text())
    assert [label["name"] for label in labels] == list(NAMES)


def test_nothing_says_where_it_was_written(written: Path, tmp_path: Path) -> None:
    assert not [name for name, content in files(written).items() if str(tmp_path).encode() in content]
    assert "--corrections FOLDER" in (written / "README.txt").read_text()


def test_again_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    before = files(written)
    write_review_folders(written, [case("exam/a", 0), case("b (1)", 1)], NAMES)
    assert files(written) == before


def test_other_images_replace_those_that_nobody_corrected(written: Path) -> None:
    corrected = encode_seg_nrrd(case("b", 3).mask, NAMES)
    (written / "slicer" / "b (1).seg.nrrd").write_bytes(corrected)
    write_review_folders(written, [case("c", 2)], NAMES)
    names = set(files(written / "slicer"))
    assert names == {"c.nii.gz", "c.seg.nrrd", "b (1).seg.nrrd", "written.json"}
    write_review_folders(written, [case("b (1)", 1)], NAMES)
    assert (written / "slicer" / "b (1).seg.nrrd").read_bytes() == corrected


def test_what_nobody_saved_again_is_no_correction(written: Path, tmp_path: Path) -> None:
    classes = ClassMap(NAMES, (1, 2))
    items = []
    for name in ("exam/a", "b (1)"):
        path = tmp_path / f"{Path(name).name}.png"
        Image.fromarray(np.zeros((12, 17, 3), np.uint8)).save(path)
        items.append(Item(id=name, image=str(path), group=name))
    for tool in ("slicer", "cvat", "monai_label"):
        with pytest.raises(DataError, match="holds no corrected mask"):
            read_corrections(written / tool, items, classes, tmp_path / "out")
    (written / "slicer" / "b (1).seg.nrrd").write_bytes(encode_seg_nrrd(case("b", 3).mask, NAMES))
    found = read_corrections(written / "slicer", items, classes, tmp_path / "out")
    assert list(found.masks) == ["b (1)"]
    assert (read_label(items[1], found.masks["b (1)"], classes) == case("b", 3).mask).all()
    (written / "monai_label" / "labels" / "final" / "exam__a.nii.gz").write_bytes(
        (written / "monai_label" / "labels" / "original" / "exam__a.nii.gz").read_bytes()
    )
    found = read_corrections(written / "monai_label", items, classes, tmp_path / "out")
    assert (read_label(items[0], found.masks["exam/a"], classes) == case("exam/a").mask).all()


def test_two_images_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a/b and a__b would both be exported as a__b; rename one"):
        write_review_folders(tmp_path, [case("a/b"), case("a__b")], NAMES)
