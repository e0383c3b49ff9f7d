from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from labelmine.data import ClassMap, Item, LoadItem, SetAside, check_items, find_items
from labelmine.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def write_pair(folder: Path, name: str, mask: np.ndarray | None = None, suffix: str = "png") -> Path:
    """Write an image of 32 x 24 noise and its mask; returns the image's path."""
    for part in ("images", "masks"):
        (folder / part).mkdir(exist_ok=True)
    image = folder / "images" / f"{name}.{suffix}"
    Image.fromarray(RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(image)
    default = np.zeros((24, 32), dtype=np.uint8)
    default[5:9, 5:9] = 255
    Image.fromarray(default if mask is None else mask).save(folder / "masks" / f"{name}.png")
    return image


def quarantined(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not rows or list(rows[0]) == ["id", "path", "reason"]
    return {row["id"]: row["reason"] for row in rows}


def test_good_set_writes_an_empty_quarantine(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path, name)
    (tmp_path / "quarantine.csv").write_text("id,path,reason\nold,old.png,from an earlier run\n")
    checked = check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert [item["id"] for item in checked.items] == ["a", "b"]
    assert (checked.set_aside, checked.n_empty_masks) == ([], 0)
    assert checked.classes == ClassMap()
    assert quarantined(tmp_path / "quarantine.csv") == {}


def test_each_bad_file_is_named_and_the_rest_goes_on(tmp_path, caplog):
    write_pair(tmp_path, "good")
    cut = write_pair(tmp_path, "cut", suffix="jpg")
    cut.write_bytes(cut.read_bytes()[:-300])
    write_pair(tmp_path, "empty").write_bytes(b"")
    write_pair(tmp_path, "letter").write_text("dear sir")
    write_pair(tmp_path, "small", mask=np.ones((12, 16), dtype=np.uint8))
    write_pair(tmp_path, "doubled")
    write_pair(tmp_path, "doubled", suffix="jpg")
    write_pair(tmp_path, "nomask")
    (tmp_path / "masks" / "nomask.png").write_bytes(b"")
    write_pair(tmp_path, "lost").unlink()
    shutil.copyfile(str(get_testdata_file("rtplan.dcm", download=False)), tmp_path / "images" / "plan.dcm")
    found: list[SetAside] = []
    items = find_items(tmp_path, set_aside=found)
    checked = check_items(items, tmp_path / "out" / "quarantine.csv", set_aside=found)
    assert [item["id"] for item in checked.items] == ["doubled", "good"]
    reasons = quarantined(tmp_path / "out" / "quarantine.csv")
    expected = {
        "cut": "cut.jpg: cannot be decoded (image file is truncated",
        "empty": "empty.png: file is empty (0 bytes); copy it again",
        "letter": "letter.png: content is no image in spite of its suffix",
        "small": "small.png: mask is 16 x 12 pixels, its image 32 x 24",
        "doubled": "doubled id: images/doubled.jpg already has it",
        "nomask": "nomask.png: file is empty (0 bytes)",
        "lost": "mask without image: expected an image named lost.*",
        "plan": "plan.dcm: DICOM file without pixels (SOP class: RT Plan Storage)",
    }
    assert reasons.keys() == expected.keys()
    for name, reason in expected.items():
        assert reasons[name].startswith(reason)
        assert f"set aside: {name} (" in caplog.text
    assert [row.id for row in checked.set_aside[:2]] == ["lost", "doubled"]
    assert str(tmp_path) not in (tmp_path / "out" / "quarantine.csv").read_text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["quarantine.csv"]


def test_many_findings_are_counted_not_recited(tmp_path, caplog):
    write_pair(tmp_path, "good")
    for number in range(15):
        write_pair(tmp_path, f"bad{number:02d}").write_bytes(b"")
    check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert caplog.text.count("set aside: bad") == 10
    assert "set aside: 5 more, all listed in quarantine.csv" in caplog.text


def test_doubled_ids_of_any_origin(tmp_path):
    image = str(write_pair(tmp_path, "a"))
    items = [Item(id="a", image=image, group="a"), Item(id="a", image=image, group="a")]
    checked = check_items(items, tmp_path / "quarantine.csv")
    assert len(checked.items) == 1
    assert checked.set_aside == [
        SetAside("a", "a.png", "doubled id: a.png already has it; rename or remove one of them")
    ]


@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 5, 5), (5, 6, 4)])
def test_mask_volume_of_another_shape(tmp_path, shape):
    for name, size in (("image", (6, 5, 4)), ("mask", shape)):
        nib.save(nib.Nifti1Image(RNG.integers(0, 2, size).astype(np.uint8), np.eye(4)), tmp_path / f"{name}.nii")
    (tmp_path / "set.csv").write_text("image,label\nimage.nii,mask.nii\n")
    with pytest.raises(DataError, match=r"no usable image: all 4 were set aside") as caught:
        check_items(find_items(tmp_path / "set.csv"), tmp_path / "quarantine.csv")
    assert f"mask.nii: mask volume has shape {shape}, its image (6, 5, 4)" in str(caught.value)


def test_negative_mask_values(tmp_path):
    nib.save(nib.Nifti1Image(np.full((6, 5), 1.0), np.eye(4)), tmp_path / "image.nii")
    nib.save(nib.Nifti1Image(np.full((6, 5), -1.0), np.eye(4)), tmp_path / "mask.nii")
    (tmp_path / "set.csv").write_text("image,label\nimage.nii,mask.nii\n")
    with pytest.raises(DataError, match=r"mask.nii: mask holds negative or missing values"):
        check_items(find_items(tmp_path / "set.csv"), tmp_path / "quarantine.csv")


def test_empty_masks_stay_and_count(tmp_path, caplog):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b", mask=np.zeros((24, 32), dtype=np.uint8))
    checked = check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert (len(checked.items), checked.n_empty_masks) == (2, 1)
    assert not caplog.text
    write_pair(tmp_path, "c", mask=np.zeros((24, 32), dtype=np.uint8))
    with caplog.at_level(logging.WARNING):
        check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert "2 of 3 gold masks hold no foreground; they count as true negatives" in caplog.text


@pytest.mark.parametrize(
    ("classes", "value", "wanted"),
    [(None, 0, "a positive value"), (2, 9, r"one of the class values \(1, 2\)")],
)
def test_all_masks_empty(tmp_path, classes, value, wanted):
    for name in ("a", "b"):
        write_pair(tmp_path, name, mask=np.full((24, 32), value, dtype=np.uint8))
    with pytest.raises(DataError, match=f"all 2 masks are empty: no pixel holds {wanted}; check that these are"):
        check_items(find_items(tmp_path), tmp_path / "quarantine.csv", classes)


def test_classes_are_inferred_from_all_masks(tmp_path):
    for value in (1, 2, 3):
        write_pair(tmp_path, f"m{value}", mask=np.full((24, 32), value, dtype=np.uint8))
    assert check_items(find_items(tmp_path), tmp_path / "quarantine.csv").classes.values == (1, 2, 3)


def test_values_that_no_class_names(tmp_path, caplog):
    write_pair(tmp_path, "a", mask=np.tile(np.arange(4, dtype=np.uint8), (24, 8)))
    check_items(find_items(tmp_path), tmp_path / "quarantine.csv", ["liver", "spleen"])
    assert "masks hold values that no class names, taken as background: 3" in caplog.text


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count", "classes", "n_empty"), [("busi", 547, 1, 0), ("cxr_lung", 44, 1, 0), ("hippocampus", 420, 2, 130)]
)
def test_real_sets_are_clean(shared_data, tmp_path, name, count, classes, n_empty):
    checked = check_items(find_items(shared_data / name), tmp_path / "quarantine.csv")
    assert (len(checked.items), len(checked.set_aside)) == (count, 0)
    assert (len(checked.classes), checked.n_empty_masks) == (classes, n_empty)


def test_what_was_assumed_is_collected_and_logged_in_one_line_each(tmp_path, caplog):
    smooth = np.zeros((24, 32), dtype=np.uint8)
    smooth[5:15, 5:25] = 255
    for name in ("a", "b"):
        write_pair(
            tmp_path, name, mask=np.asarray(Image.fromarray(smooth).rotate(20, resample=Image.Resampling.BICUBIC))
        )
    write_pair(tmp_path, "full", mask=np.full((24, 32), 255, dtype=np.uint8))
    with caplog.at_level(logging.INFO, logger="labelmine.data.integrity"):
        checked = check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert [(row.kind, row.count, row.examples) for row in checked.findings] == [
        ("levels", 1, ()),
        ("polarity", 1, ("full.png",)),
    ]
    assert [record.getMessage() for record in caplog.records] == [str(row) for row in checked.findings]
    assert checked.classes.cut == 127.5


def test_every_reader_has_the_rule_of_the_set(tmp_path):
    """A mask of noise is empty gold in the check, and when it is read for training."""
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "noise", mask=(RNG.random((24, 32)) < 0.05).astype(np.uint8) * 3)
    checked = check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
    assert checked.n_empty_masks == 1
    loaded = {item["id"]: LoadItem(checked.classes)(item)["label"] for item in checked.items}
    assert (int(loaded["a"].sum()), int(loaded["noise"].sum())) == (16, 0)


def test_small_values_in_areas_are_a_question(tmp_path):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "noise", mask=(RNG.random((24, 32)) < 0.05).astype(np.uint8) * 3)
    ones = np.zeros((24, 32), dtype=np.uint8)
    ones[5:15, 5:25] = 2
    write_pair(tmp_path, "twos", mask=ones)
    with pytest.raises(ConfigError, match=r'--classes "\{class_2: 2, class_255: 255\}"'):
        check_items(find_items(tmp_path), tmp_path / "quarantine.csv")
