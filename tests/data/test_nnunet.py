from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelmine.data import find_items, prepare_image_set
from labelmine.data.nnunet import named_classes
from labelmine.errors import DataError


def write(folder: Path, labels: dict[str, Any], suffix: str = "_0000", **more: Any) -> Path:
    mask = np.zeros((24, 24), np.uint8)
    mask[3:9, 3:9], mask[12:20, 12:20] = 1, 2
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case in range(6):
        image = np.random.default_rng(case).integers(0, 255, (24, 24), np.uint8)
        Image.fromarray(image).save(folder / f"imagesTr/c{case}{suffix}.png")
        Image.fromarray(np.roll(mask, case)).save(folder / f"labelsTr/c{case}.png")
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "numTraining": 6, **more}))
    return folder


VERSION_2 = {"channel_names": {"0": "US"}, "file_ending": ".png"}


def test_version_2_names_the_classes(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {"background": 0, "cyst": 1, "tumour": 2}, **VERSION_2)
    found = prepare_image_set(str(folder), str(tmp_path / "out"))
    assert (found.classes.names, found.classes.values) == (("cyst", "tumour"), (1, 2))
    assert [item["id"] for item in found.items] == [f"c{n}" for n in range(6)]
    said = [str(row) for row in found.findings]
    assert "classes were named by dataset.json: {'cyst': 1, 'tumour': 2}" in said
    assert any("'imagesTr/{id}_0000 -> labelsTr/{id}.png'" in sentence for sentence in said)
    assert find_items(folder / "dataset.json") == find_items(folder)
    assert (tmp_path / "out" / "quarantine.csv").read_text() == "id,path,reason\n", "dataset.json is used"


def test_version_1_lists_images_without_their_channel(tmp_path: Path) -> None:
    listed = [{"image": f"./imagesTr/c{n}.png", "label": f"./labelsTr/c{n}.png"} for n in range(6)]
    folder = write(tmp_path, {"0": "background", "1": "cyst", "2": "tumour"}, training=listed, test=[])
    items = find_items(folder / "dataset.json")
    assert [Path(item["image"]).name for item in items] == [f"c{n}_0000.png" for n in range(6)]
    assert named_classes(folder / "dataset.json") == {"cyst": 1, "tumour": 2}
    (folder / "imagesTr/c0_0001.png").write_bytes((folder / "imagesTr/c0_0000.png").read_bytes())
    with pytest.raises(DataError, match=r"c0.png: has several channels \(c0_0000.png, c0_0001.png"):
        find_items(folder / "dataset.json")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"background": 0, "whole": [1, 2], "core": 2}, None),
        ({"background": 0, "cyst": 1, "ignore": 2}, {"cyst": 1}),
        ({"background": 0}, None),
        ([], None),
    ],
)
def test_classes_that_are_no_values(tmp_path: Path, labels: Any, expected: dict[str, int] | None) -> None:
    assert named_classes(write(tmp_path, labels)) == expected


def test_no_dataset_json(tmp_path: Path) -> None:
    assert named_classes(tmp_path) is None
    (tmp_path / "dataset.json").write_text("{")
    assert named_classes(tmp_path) is None
