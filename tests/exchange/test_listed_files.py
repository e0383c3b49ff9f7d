"""Tables and datalists, read back by labelmine's own reader and by MONAI's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from PIL import Image

from labelmine.data import ClassMap, find_items, read_image, read_label
from labelmine.exchange.label_set import LabelSet
from labelmine.exchange.listed_files import write_datalist, write_table

NUMBERED = ClassMap(("lesion", "scar"), (1, 2))
FORMS = [(write_table, "dataset.csv"), (write_datalist, "datalist.json")]


@pytest.mark.parametrize(("write", "name"), FORMS)
def test_pictures_come_back_equal(
    write: Any, name: str, make_label_set: Callable[..., LabelSet], tmp_path: Path, tells_nothing: Callable
) -> None:
    labels = make_label_set(colour=True)
    figures = write(labels, tmp_path / "out")
    items = {item["id"]: item for item in find_items(tmp_path / "out" / name)}
    assert sorted(items) == sorted(labels.names.values())
    for image in labels.images:
        item = items[labels.names[image.id]]
        assert (item["split"], item["group"]) == (image.split, labels.groups[image.id])
        np.testing.assert_array_equal(read_image(item), read_image(image.item))
        mask, weight = labels.read_label(image)
        np.testing.assert_array_equal(read_label(item, item["label"], NUMBERED), mask)
        path = tmp_path / "out" / "weights" / f"{item['id']}.png"
        assert path.is_file() == (image.source == "pseudo")
        if path.is_file():
            np.testing.assert_allclose(np.asarray(Image.open(path)) / 255, weight, atol=1e-6)
    assert figures["left_out"] == {"rejected": 3}
    tells_nothing(tmp_path / "out")


@pytest.mark.parametrize(("write", "name"), FORMS)
def test_volumes_come_back_equal(
    write: Any, name: str, volume_set: LabelSet, tmp_path: Path, tells_nothing: Callable
) -> None:
    write(volume_set, tmp_path / "out")
    items = {item["id"]: item for item in find_items(tmp_path / "out" / name)}
    assert len(items) == 15
    for image in volume_set.images:
        item = items[image.id]
        assert (item["split"], item["group"]) == (image.split, volume_set.groups[image.id])
        np.testing.assert_array_equal(read_image(item), read_image(image.item))
        mask, weight = volume_set.read_label(image)
        np.testing.assert_array_equal(read_label(item, item["label"], NUMBERED), mask)
        if image.source == "pseudo":
            volume = nib.load(tmp_path / "out" / "weights" / "v3.nii.gz")
            np.testing.assert_allclose(volume.dataobj[..., item["frame"]] / 255, weight, atol=1e-6)
    affine = nib.load(tmp_path / "v3.nii.gz").affine
    for kind in ("images", "labels", "weights"):
        np.testing.assert_allclose(nib.load(tmp_path / "out" / kind / "v3.nii.gz").affine, affine)
    assert not np.asanyarray(nib.load(tmp_path / "out" / "weights" / "v3.nii.gz").dataobj)[..., [0, 3, 4]].any()
    tells_nothing(tmp_path / "out")


def test_monai_loads_the_sections(make_label_set: Callable[..., LabelSet], tmp_path: Path) -> None:
    write_datalist(make_label_set(), tmp_path / "out")
    for section, count in (("training", 6), ("validation", 1), ("test", 1)):
        entries = load_decathlon_datalist(tmp_path / "out" / "datalist.json", data_list_key=section)
        assert len(entries) == count
        assert all(Path(entry[key]).is_file() for entry in entries for key in ("image", "label"))
    mined = next(entry for entry in load_decathlon_datalist(tmp_path / "out" / "datalist.json") if entry["id"] == "e")
    assert (mined["source"], mined["drawn_by"], mined["score"]) == ("pseudo", "blend", 0.8765)
