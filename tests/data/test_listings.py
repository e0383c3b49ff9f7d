from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from labelmine.data.findings import Findings
from labelmine.data.listings import read_listing
from labelmine.errors import DataError


def write(path: Path, content: str | dict) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_csv(tmp_path):
    text = "id,image,label,group,split,age\nx,im/a.png,gold/a.png,p1,train,61\n,im/b.nii.gz,,,,\n"
    first, second = read_listing(write(tmp_path / "set.csv", text))
    assert (first.id, first.image, first.labels) == ("x", tmp_path / "im/a.png", (tmp_path / "gold/a.png",))
    assert (first.group, first.split) == ("p1", "train")
    assert (second.id, second.labels, second.group, second.split) == ("im/b", (), None, None)


def test_csv_of_spreadsheets(tmp_path):
    path = tmp_path / "set.csv"
    path.write_bytes("\ufeffImage;Split\na.png;Validation\n".encode())
    assert [(entry.id, entry.split) for entry in read_listing(path)] == [("a", "val")]


def test_ids_of_images_outside_the_listing(tmp_path):
    (tmp_path / "lists").mkdir()
    text = f"image\n{tmp_path}/p1/a.png\n../p2/a.png\n"
    assert [entry.id for entry in read_listing(write(tmp_path / "lists" / "set.csv", text))] == ["p1/a", "p2/a"]


def test_datalist_with_sections(tmp_path):
    datalist = {
        "name": "any",
        "training": [{"image": "a.nii.gz", "label": "la.nii.gz", "fold": 0}],
        "validation": [{"image": "b.nii.gz", "label": "lb.nii.gz", "group": 7}],
        "test": [{"image": "c.nii.gz", "label": "lc.nii.gz"}, "d.nii.gz"],
    }
    entries = read_listing(write(tmp_path / "datalist.json", datalist))
    assert [(entry.id, entry.split) for entry in entries] == [
        ("a", "train"),
        ("b", "val"),
        ("c", "test"),
        ("d", "unlabeled"),
    ]
    assert entries[1].group == "7"


def test_decathlon_datalist_leaves_the_split_open(tmp_path):
    datalist = {"training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}], "test": ["b.nii.gz"]}
    entries = read_listing(write(tmp_path / "dataset.json", datalist))
    assert [(entry.id, entry.split) for entry in entries] == [("imagesTr/a", None), ("b", "unlabeled")]


@pytest.mark.parametrize("column", ["mask", "Seg", "segmentation", "gt"])
def test_other_names_of_the_masks_column(tmp_path, column):
    findings, unused = Findings(), []
    path = write(tmp_path / "set.csv", f"image,{column},age,{','.join(f'c{n:02d}' for n in range(12))}\na.png,m.png\n")
    assert read_listing(path, findings, unused)[0].labels == (tmp_path / "m.png",)
    assert str(findings.rows()[0]) == f"the column `{column.lower()}` of set.csv was read as the masks' (`label`)"
    (row,) = unused
    assert (row.id, row.path) == ("", "set.csv")
    assert row.reason.startswith("columns not used: age, c00, c01")
    assert row.reason.endswith("c08 and 3 more")


def test_tables_of_other_programs_and_their_patients(tmp_path):
    findings, unused = Findings(), []
    text = "image_path;mask_path;patient_id;subject\na.png;m.png;1234;x\nb.png;n.png;77;x\nc.png;;1234;y\nd.png;;;y\n"
    entries = read_listing(write(tmp_path / "set.csv", text), findings, unused)
    assert [entry.image.name for entry in entries] == ["a.png", "b.png", "c.png", "d.png"]
    assert [len(entry.labels) for entry in entries] == [1, 1, 0, 0]
    assert [entry.group for entry in entries] == ["a", "b", "a", None]
    said = [str(row) for row in findings.rows()]
    assert said[0] == "the column `image_path` of set.csv was read as the images' (`image`)"
    assert said[2] == "images of one `patient_id` of set.csv are a group, which no split parts"
    assert [row.reason for row in unused] == ["columns not used: subject"]


def test_a_group_comes_before_a_patient(tmp_path):
    findings, unused = Findings(), []
    (entry,) = read_listing(write(tmp_path / "set.csv", "image,group,patient\na.png,g,p\n"), findings, unused)
    assert entry.group == "g"
    assert not findings.rows()
    assert [row.reason for row in unused] == ["columns not used: patient"]


def test_several_masks_in_a_cell(tmp_path):
    text = "image,label\na.png,m.png | m_1.png\n"
    assert read_listing(write(tmp_path / "set.csv", text))[0].labels == (tmp_path / "m.png", tmp_path / "m_1.png")


def test_keys_of_a_datalist_that_are_not_used(tmp_path):
    findings, unused = Findings(), []
    rows = [{"image": "a.png", "seg": "m.png", "fold": 0}, {"image": "b.png", "seg": "n.png", "fold": 1}]
    path = write(tmp_path / "list.json", {"training": rows, "name": "any", "sites": ["x"]})
    assert [entry.labels[0].name for entry in read_listing(path, findings, unused)] == ["m.png", "n.png"]
    assert [row.reason for row in unused] == ["keys not used: sites", "keys of rows not used: fold"]
    assert "column `seg`" in str(findings.rows()[0])


def test_names_whose_accents_are_stored_apart(tmp_path):
    name = "caf\u00e9.png"
    (tmp_path / unicodedata.normalize("NFD", name)).write_bytes(b"")
    (entry,) = read_listing(write(tmp_path / "set.csv", f"image\n{name}\n"))
    assert entry.image.is_file()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("set.csv", "", "cannot be read as a CSV table"),
        ("set.csv", "file,label\na,b\n", "expected a column `image` among .*, got .'file', 'label'"),
        ("set.csv", "image\n", "lists no image"),
        ("set.csv", "image,label\na.png,\n,b.png\n", "row 2 has no `image` path"),
        ("set.csv", "image,split\na.png,dev\n", "row 1: split: expected one of .* got 'dev'"),
        ("set.csv", "id,image\n../../etc/a,a.png\n", "row 1: id: expected a relative name without"),
        (
            "set.csv",
            "image,label,mask\na.png,benign,m.png\n",
            "expected one column of masks, got .'label', 'mask'.; keep",
        ),
        ("set.csv", "image,img\na.png,b.png\n", "expected one column of images, got .'image', 'img'.; keep"),
        ("set.json", {"images": [], "annotations": [], "categories": []}, "holds COCO annotations, which are not read"),
        ("set.json", "{", "cannot be read as JSON"),
        ("set.json", "[]", "expected a MONAI datalist with lists named"),
        ("set.json", {"training": [{"label": "a"}]}, r"training\[0\]: expected one `image` path"),
        ("set.json", {"training": [{"image": ["a", "b"]}]}, r"training\[0\]: expected one `image` path"),
        ("set.txt", "a.png", "expected a folder, a .csv table or a .json datalist, got .txt"),
    ],
)
def test_listings_that_cannot_be_understood(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_listing(write(tmp_path / name, content))
