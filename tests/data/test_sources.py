from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from labelmine.data import SetAside, find_items
from labelmine.errors import ConfigError, DataError


def write_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4), 100).save(path)
    return path


def write_volume(path: Path, shape: tuple[int, ...] = (4, 5, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones(shape, dtype=np.uint8), np.eye(4)), path)
    return path


def copy_dicom(name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(get_testdata_file(name, download=False)), path)


def test_folder_with_masks_at_any_depth(tmp_path):
    for name in ("a.jpg", "p1/b.png", "p1/deep/c.v2.tif"):
        write_picture(tmp_path / "images" / name)
    write_picture(tmp_path / "masks" / "a.png")
    write_picture(tmp_path / "masks" / "p1/deep/c.v2.png")
    (tmp_path / "images" / "readme.txt").write_text("no image")
    (tmp_path / "images" / ".hidden.png").write_text("no image")
    items = find_items(tmp_path)
    assert [item["id"] for item in items] == ["a", "p1/b", "p1/deep/c.v2"]
    assert [Path(item["label"]).name if "label" in item else None for item in items] == ["a.png", None, "c.v2.png"]
    assert all(item["group"] == item["id"] and Path(item["image"]).is_absolute() for item in items)


def test_labels_folder_and_plain_folder(tmp_path):
    write_picture(tmp_path / "one" / "images" / "a.png")
    write_picture(tmp_path / "one" / "labels" / "a.png")
    assert "label" in find_items(str(tmp_path / "one"))[0]
    write_picture(tmp_path / "two" / "x" / "a.png")
    write_picture(tmp_path / "two" / "y" / "a.png")
    assert [item["id"] for item in find_items(tmp_path / "two")] == ["x/a", "y/a"]


def test_volumes_become_slices(tmp_path):
    write_volume(tmp_path / "images" / "v.nii.gz")
    write_volume(tmp_path / "labels" / "v.nii")
    write_volume(tmp_path / "images" / "flat.nii.gz", (4, 5, 1))
    items = find_items(tmp_path, slice_axis=0)
    assert [item["id"] for item in items] == ["flat", *(f"v_frame000{frame}" for frame in range(4))]
    assert "frame" not in items[0]
    assert [item["frame"] for item in items[1:]] == [0, 1, 2, 3]
    assert {item["group"] for item in items[1:]} == {"v"}
    assert all(item["label"].endswith("v.nii") for item in items[1:])


def test_frames_find_masks_of_their_own(tmp_path):
    copy_dicom("examples_ybr_color.dcm", tmp_path / "images" / "clip.dcm")
    write_picture(tmp_path / "masks" / "clip_frame0002.png")
    items = find_items(tmp_path)
    assert len(items) == 30
    assert {item["group"] for item in items} == {"clip"}
    assert [item["frame"] for item in items if "label" in item] == [2]


def test_one_mask_cannot_label_many_frames(tmp_path):
    write_volume(tmp_path / "images" / "v.nii.gz")
    write_picture(tmp_path / "images" / "a.png")
    write_picture(tmp_path / "masks" / "v.png")
    set_aside: list[SetAside] = []
    assert [item["id"] for item in find_items(tmp_path, set_aside=set_aside)] == ["a"]
    assert "a 2-D mask cannot label 3 frames" in set_aside[0].reason


def test_dicom_patients_make_groups_without_their_names(tmp_path):
    copy_dicom("CT_small.dcm", tmp_path / "IM1")
    copy_dicom("CT_small.dcm", tmp_path / "IM2")
    copy_dicom("MR_small.dcm", tmp_path / "IM3.dcm")
    assert [(item["id"], item["group"]) for item in find_items(tmp_path)] == [
        ("IM1", "IM1"),
        ("IM2", "IM1"),
        ("IM3", "IM3"),
    ]


def test_what_is_set_aside(tmp_path, caplog):
    for name in ("a.png", "a.jpg", "b.png"):
        write_picture(tmp_path / "images" / name)
    for name in ("a.png", "a.bmp", "lost.png"):
        write_picture(tmp_path / "masks" / name)
    copy_dicom("CT_small.dcm", tmp_path / "masks" / "b.dcm")
    (tmp_path / "images" / "v.nii.gz").write_bytes(b"damaged")
    set_aside: list[SetAside] = []
    items = find_items(tmp_path, set_aside=set_aside)
    assert [(item["id"], Path(item["image"]).name) for item in items] == [("a", "a.jpg"), ("b", "b.png")]
    reasons = {row.path: row.reason for row in set_aside}
    assert reasons.keys() == {"images/a.png", "masks/a.png", "masks/lost.png", "masks/b.dcm", "images/v.nii.gz"}
    assert reasons["images/a.png"].startswith("doubled id: images/a.jpg already has it")
    assert reasons["masks/a.png"].startswith("second mask of this name beside a.bmp")
    assert reasons["masks/lost.png"].startswith("mask without image: expected an image named lost.*")
    assert reasons["masks/b.dcm"].startswith("masks are read from PNG")
    assert reasons["images/v.nii.gz"].startswith("header cannot be read")
    assert "set aside: lost (masks/lost.png): mask without image" in caplog.text


def test_listing(tmp_path):
    write_picture(tmp_path / "a.png")
    write_volume(tmp_path / "v.nii.gz")
    rows = "image,label,group,split\na.png,,p1,train\ngone.png,,,\na.png,gone.png,,\nv.nii.gz,v.nii.gz,p2,test\n"
    (tmp_path / "set.csv").write_text(rows)
    set_aside: list[SetAside] = []
    items = find_items(tmp_path / "set.csv", set_aside=set_aside)
    assert [(item["id"], item["group"], item["split"]) for item in items] == [
        ("a", "p1", "train"),
        *((f"v_frame000{frame}", "p2", "test") for frame in range(3)),
    ]
    assert [row.path for row in set_aside] == ["gone.png", "gone.png"]
    assert "listed file does not exist" in set_aside[0].reason


def test_missing_and_empty_sources(tmp_path):
    with pytest.raises(DataError, match="does not exist; give a folder, a CSV or a datalist JSON"):
        find_items(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no usable image in .* expected PNG, JPEG"):
        find_items(tmp_path)
    (tmp_path / "a.nii").write_bytes(b"")
    with pytest.raises(DataError, match=r"first of 1 set aside: file is empty \(0 bytes\)"):
        find_items(tmp_path)


def test_folders_that_could_be_misread(tmp_path):
    write_picture(tmp_path / "case1" / "masks" / "a.png")
    with pytest.raises(
        DataError, match=r"holds masks \(case1/masks/a.png\) and no images; give the folder that holds both"
    ):
        find_items(tmp_path)
    write_picture(tmp_path / "case1" / "images" / "a.png")
    write_picture(tmp_path / "case1" / "labels" / "a.png")
    with pytest.raises(DataError, match="holds masks of the same images in 2 ways; say which is the gold: ") as caught:
        find_items(tmp_path / "case1")
    assert "--mask_pattern 'masks/{id}.png' (1 masks)" in str(caught.value)
    assert "--mask_pattern 'labels/{id}.png' (1 masks)" in str(caught.value)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count", "labeled", "groups"),
    [
        ("kvasir_seg", 900, 900, 900),
        ("cvc_clinicdb", 612, 612, 612),
        ("busi", 547, 547, 547),
        ("isic2016", 122, 25, 122),
        ("cxr_lung", 44, 44, 44),
        ("hippocampus", 420, 420, 12),
        ("dicom", 5, 3, 3),
    ],
)
def test_real_sets(shared_data, name, count, labeled, groups):
    set_aside: list[SetAside] = []
    items = find_items(shared_data / name, set_aside=set_aside)
    assert (len(items), sum("label" in item for item in items)) == (count, labeled)
    assert len(Counter(item["group"] for item in items)) == groups
    assert [row.id for row in set_aside if row.id] == []


def test_one_image_is_a_set(tmp_path):
    write_picture(tmp_path / "scan.png")
    write_picture(tmp_path / "other.png")
    write_volume(tmp_path / "liver.nii.gz")
    copy_dicom("CT_small.dcm", tmp_path / "1.2.3")
    assert [item["id"] for item in find_items(tmp_path / "scan.png")] == ["scan"]
    assert len(find_items(tmp_path / "liver.nii.gz")) == 3
    assert [item["id"] for item in find_items(tmp_path / "1.2.3")] == ["1.2.3"]
    with pytest.raises(ConfigError, match=r"mask_pattern: scan.png is no folder; give one"):
        find_items(tmp_path / "scan.png", mask_pattern="{id}_mask")
