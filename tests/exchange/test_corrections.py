from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelmine.data.classes import ClassMap
from labelmine.data.image_set import ImageSet, prepare_image_set
from labelmine.data.items import Item
from labelmine.data.loading import read_label
from labelmine.data.picture_volumes import encode_picture_volume
from labelmine.errors import DataError
from labelmine.exchange.corrections import corrections_reader, flat_name, read_corrections
from labelmine.exchange.cvat import encode_cvat_xml, image_element
from labelmine.exchange.seg_nrrd import encode_seg_nrrd

IDS = ("case_1", "exam/case_2")
ORGANS = ClassMap.from_config({"liver": 1, "spleen": 4})
RED, GREEN = (250, 50, 83), (50, 183, 250)


def wide(k: int = 1) -> Any:
    """(k, 6, 9) without overlap, not symmetric, so that nothing turned or mirrored passes."""
    mask = np.zeros((k, 6, 9), dtype=bool)
    mask[0, 1:3, 5:9] = True
    mask[-1, 4, 1] = True
    return mask


def plain(folder: Path, mask: Any, name: str, classes: ClassMap) -> None:
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(classes.decode(mask)).save(path)


def monai_label(folder: Path, mask: Any, name: str, classes: ClassMap) -> None:
    final = folder / "labels" / "final"
    final.mkdir(parents=True, exist_ok=True)
    numbers = (mask * np.arange(1, len(mask) + 1)[:, None, None]).max(axis=0).astype(np.uint8)
    (final / f"{flat_name(name)}.nii.gz").write_bytes(encode_picture_volume(numbers))
    (folder / f"{flat_name(name)}.nii.gz").write_bytes(encode_picture_volume(numbers))  # the image: not a mask


def slicer(folder: Path, mask: Any, name: str, classes: ClassMap) -> None:
    (folder / f"{flat_name(name)}.seg.nrrd").write_bytes(encode_seg_nrrd(mask, classes.names))
    (folder / f"{flat_name(name)}.nii.gz").write_bytes(encode_picture_volume(mask[0].astype(np.uint8)))


def cvat_shapes(folder: Path, mask: Any, name: str, classes: ClassMap) -> None:
    elements = [image_element(f"{flat_name(one)}.png", mask, classes.names, n) for n, one in enumerate(IDS)]
    (folder / "annotations.xml").write_bytes(encode_cvat_xml(elements, classes.names))


def cvat_masks(folder: Path, mask: Any, name: str, classes: ClassMap) -> None:
    (folder / "SegmentationClass").mkdir(exist_ok=True)
    (folder / "SegmentationObject").mkdir(exist_ok=True)
    colors = dict(zip(classes.names, (RED, GREEN), strict=False))
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", *(f"{n}:{r},{g},{b}::" for n, (r, g, b) in colors.items())]  # noqa: E501  # fmt: skip
    (folder / "labelmap.txt").write_text("\n".join(lines))
    pixels = np.zeros((6, 9, 3), dtype=np.uint8)
    for channel, color in zip(mask, colors.values(), strict=True):
        pixels[channel] = color
    Image.fromarray(pixels).save(folder / "SegmentationClass" / f"{flat_name(name)}.png")


FORMS = [plain, monai_label, slicer, cvat_shapes, cvat_masks]


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Two images of 9 x 6 pixels, one of them in a folder."""
    found = []
    for name in IDS:
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 9, 3), 90, np.uint8)).save(path)
        found.append(Item(id=name, image=str(path), group=name))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corrected").mkdir()
    return tmp_path / "corrected"


@pytest.mark.parametrize("classes", [ClassMap(), ORGANS], ids=["one class", "two classes"])
@pytest.mark.parametrize("write", FORMS)
def test_every_form_gives_the_same_masks(
    write: Callable[..., None], classes: ClassMap, items: list[Item], folder: Path, tmp_path: Path
) -> None:
    mask = wide(len(classes))
    for name in IDS:
        write(folder, mask, name, classes)
    found = read_corrections(folder, items, classes, tmp_path / "out")
    assert found.set_aside == []
    assert {name: path.relative_to(tmp_path / "out").as_posix() for name, path in found.masks.items()} == {
        name: f"{name}.png" for name in IDS
    }
    for item in items:
        assert (read_label(item, found.masks[item["id"]], classes) == mask).all()
    assert read_corrections(folder, items, classes, tmp_path / "again").digest == found.digest


def test_labels_final_itself_may_be_given(items: list[Item], folder: Path, tmp_path: Path) -> None:
    monai_label(folder, wide(), IDS[0], ClassMap())
    found = read_corrections(folder / "labels" / "final", items, ClassMap(), tmp_path / "out")
    assert (read_label(items[0], found.masks[IDS[0]], ClassMap()) == wide()).all()


def test_other_masks_make_another_digest(items: list[Item], folder: Path, tmp_path: Path) -> None:
    digests = set()
    for shift in range(3):
        plain(folder, np.roll(wide(), shift, axis=1), IDS[0], ClassMap())
        digests.add(read_corrections(folder, items, ClassMap(), tmp_path / "out").digest)
    assert len(digests) == 3


def test_a_volume_may_be_corrected_whole_or_by_slice(tmp_path: Path, folder: Path) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.random((7, 5, 3)).astype(np.float32), rng.integers(0, 2, (7, 5, 3), dtype=np.uint8)
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "scan.nii.gz")
    items = [
        Item(id=f"scan_frame{n:04d}", image=str(tmp_path / "scan.nii.gz"), group="scan", frame=n) for n in range(3)
    ]
    nib.save(nib.Nifti1Image(mask, np.eye(4)), folder / "scan.nii.gz")
    found = read_corrections(folder, items, ClassMap(), tmp_path / "out")
    for number, item in enumerate(items):
        assert (read_label(item, found.masks[item["id"]], ClassMap())[0] == mask[..., number]).all()

    slices = tmp_path / "slices"
    slices.mkdir()
    slicer(slices, mask[None, ..., 1].astype(bool), "scan_frame0001", ClassMap())
    one = read_corrections(slices, items, ClassMap(), tmp_path / "out2")
    assert list(one.masks) == ["scan_frame0001"]
    assert (read_label(items[1], one.masks["scan_frame0001"], ClassMap())[0] == mask[..., 1]).all()


def saved(values: Any) -> Callable[[Path], object]:
    return lambda folder: Image.fromarray(np.asarray(values, np.uint8)).save(folder / "case_1.png")


def final(values: Any) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / "labels" / "final").mkdir(parents=True)
        (folder / "labels" / "final" / "case_1.nii.gz").write_bytes(encode_picture_volume(np.asarray(values, np.uint8)))

    return write


def painted(folder: Path) -> None:
    cvat_masks(folder, wide(2), IDS[0], ORGANS)
    Image.fromarray(np.full((6, 9, 3), 7, np.uint8)).save(folder / "SegmentationClass" / "case_1.png")


def misnamed(folder: Path) -> None:
    (folder / "case_1.seg.nrrd").write_bytes(encode_seg_nrrd(wide(2), ["liver", "kidney"]))


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (saved(np.ones((9, 6))), "case_1.png: mask is 6 x 9 pixels, its image 9 x 6"),
        (saved(np.full((6, 9), 3)), "mask holds 3, which no class names; classes: {'liver': 1, 'spleen': 4}"),
        (final(np.full((6, 9), 3)), "holds the value 3; expected 0 and 1..2"),
        (final(np.ones((9, 6))), "case_1.nii.gz: mask is 6 x 9 pixels"),
        (painted, "holds a colour that labelmap.txt does not name: [7, 7, 7]"),
        (misnamed, "'kidney' is no class; rename it to one of liver, spleen, or delete it"),
        (lambda folder: (folder / "case_1.png").write_text("no image"), "content is no image in spite of its suffix"),
    ],
)
def test_a_bad_correction_is_set_aside_with_its_reason(
    write: Callable[[Path], object], reason: str, items: list[Item], folder: Path, tmp_path: Path
) -> None:
    write(folder)
    found = read_corrections(folder, items, ORGANS, tmp_path / "out")
    assert found.masks == {}
    (row,) = found.set_aside
    assert row.id == "case_1"
    assert row.reason.startswith("correction: ")
    assert reason in row.reason
    assert not (tmp_path / "out").exists()


def test_doubled_and_lost_corrections_are_set_aside(items: list[Item], folder: Path, tmp_path: Path) -> None:
    plain(folder, wide(), "case_1", ClassMap())
    Image.fromarray(np.zeros((6, 9), np.uint8)).save(folder / "case_1.tif")
    plain(folder, wide(), "gone", ClassMap())
    found = read_corrections(folder, items, ClassMap(), tmp_path / "out", without_image=["gone"])
    assert {row.path: row.reason for row in found.set_aside} == {
        "case_1.tif": "correction: second correction of this image; keep one of them",
        "gone.png": "correction of an image that was itself set aside",
    }
    assert (read_label(items[0], found.masks["case_1"], ClassMap()) == wide()).all()


def with_file(name: str, content: bytes = b"") -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda f: plain(f, wide(), "elsewhere", ClassMap()), "corrections: elsewhere.png: no image of the set goes by 'elsewhere'"),  # noqa: E501
        (lambda f: None, "holds no corrected mask: expected masks named by image id"),
        (lambda f: f.rmdir(), "is no folder; give a folder of corrected masks"),
        (with_file("slicer/a.seg.nrrd"), "holds slicer; give the folder of the tool that you corrected in"),
        (with_file("annotations.xml", b"<html/>"), "corrections: annotations.xml: expected annotations of pictures"),
        (with_file("SegmentationClass/a.png"), "labelmap.txt: missing beside SegmentationClass/"),
    ],
)  # fmt: skip
def test_what_is_refused(
    write: Callable[[Path], object], message: str, items: list[Item], folder: Path, tmp_path: Path
) -> None:
    write(folder)
    with pytest.raises(DataError, match=message):
        read_corrections(folder, items, ClassMap(), tmp_path / "out")


def test_a_zip_is_to_be_unpacked(items: list[Item], tmp_path: Path) -> None:
    (tmp_path / "export.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"export.zip is no folder; unpack it and give the folder"):
        read_corrections(tmp_path / "export.zip", items, ClassMap(), tmp_path / "out")


def test_a_name_of_two_images_is_refused(items: list[Item], folder: Path, tmp_path: Path) -> None:
    twin = Item(id="exam__case_2", image=items[1]["image"], group="twin")
    slicer(folder, wide(), "exam/case_2", ClassMap())
    message = "exam__case_2.seg.nrrd: may belong to exam/case_2 and exam__case_2; rename one of these images"
    with pytest.raises(DataError, match=message):
        read_corrections(folder, [*items, twin], ClassMap(), tmp_path / "out")


def correct(folder: Path, dataset: Path, names: Sequence[str]) -> Path:
    """The gold masks, mirrored: told apart from the gold."""
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.open(dataset / "masks" / f"{name}.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
            folder / f"{name}.png"
        )
    return folder


def test_corrected_images_train_and_the_exam_stays(
    tmp_path: Path, phantom_folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    dataset, knobs = phantom_folder(24), {"labeled_fraction": 0.2}
    before = prepare_image_set(str(dataset), str(tmp_path / "before"), **knobs)
    assert "n_corrected" not in before.summary
    hidden, exam = [item["id"] for item in before.unlabeled[:3]], before.test[0]["id"]
    folder = correct(tmp_path / "corrected", dataset, [*hidden, exam])

    def run() -> ImageSet:
        return prepare_image_set(
            str(dataset), str(tmp_path / "run"), corrections=corrections_reader(str(folder)), **knobs
        )

    with caplog.at_level(logging.WARNING):
        after = run()
    assert f"corrections: {exam} is in test" in caplog.text
    assert (after.test, after.val) == (before.test, before.val)
    assert {i["id"] for i in after.train} == {i["id"] for i in before.train} | set(hidden)
    assert {i["id"] for i in after.unlabeled} == {i["id"] for i in before.unlabeled} - set(hidden)
    assert (after.summary["n_corrected"], after.summary["n_gold"]) == (3, len(before.train) + 3)
    for item in after.train:
        if item["id"] in hidden:
            gold = np.asarray(Image.open(dataset / "masks" / f"{item['id']}.png")) > 0
            assert (read_label(item, item["label"], after.classes)[0] == gold[:, ::-1]).all()
            assert "dropped_label" not in item
    assert run() == after

    with pytest.raises(DataError, match=r"corrections was None, is now [0-9a-f]{16}"):
        prepare_image_set(str(dataset), str(tmp_path / "before"), corrections=corrections_reader(str(folder)), **knobs)
    with pytest.raises(DataError, match=r"corrections was [0-9a-f]{16}, is now None"):
        prepare_image_set(str(dataset), str(tmp_path / "run"), **knobs)
    correct(folder, dataset, [before.unlabeled[3]["id"]])
    with pytest.raises(DataError, match=r"corrections was [0-9a-f]{16}, is now [0-9a-f]{16}"):
        run()


def test_bad_corrections_join_the_quarantine(tmp_path: Path, phantom_folder: Callable[..., Path]) -> None:
    dataset = phantom_folder(16, labeled=12)
    (tmp_path / "corrected").mkdir()
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "corrected" / "case_13.png")
    found = prepare_image_set(
        str(dataset), str(tmp_path / "run"), corrections=corrections_reader(str(tmp_path / "corrected"))
    )
    assert (found.summary["n_corrected"], found.summary["n_quarantined"]) == (0, 1)
    table = pd.read_csv(tmp_path / "run" / "quarantine.csv")
    assert table["reason"].tolist() == [
        "correction: case_13.png: mask is 3 x 3 pixels, its image 48 x 48 (saved at another resolution, 0.0625 times "
        "the image's?); export the mask at the image's size"
    ]
    assert "case_13" in {item["id"] for item in found.unlabeled}


def test_a_copy_of_an_exam_image_cannot_be_corrected_into_training(
    tmp_path: Path, phantom_folder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    dataset = phantom_folder(16)
    exam = prepare_image_set(str(dataset), str(tmp_path / "before")).test[0]["id"]
    (dataset / "images" / "copy.png").write_bytes((dataset / "images" / f"{exam}.png").read_bytes())
    (tmp_path / "corrected").mkdir()
    (tmp_path / "corrected" / "copy.png").write_bytes((dataset / "masks" / f"{exam}.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        found = prepare_image_set(
            str(dataset), str(tmp_path / "run"), corrections=corrections_reader(str(tmp_path / "corrected"))
        )
    assert "corrections: copy shares a group with validation or test gold" in caplog.text
    assert "copy" not in {item["id"] for item in found.items}
    assert (found.summary["n_corrected"], found.summary["n_held_out"]) == (0, 1)


def test_no_folder_is_no_corrections() -> None:
    assert corrections_reader(None) is None
