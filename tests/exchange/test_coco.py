"""COCO, read back by pycocotools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelmine.errors import ConfigError
from labelmine.exchange.coco import write_coco
from labelmine.exchange.label_set import LabelSet


def read_back(folder: Path, split: str) -> dict[str, tuple[np.ndarray, np.ndarray, list[dict]]]:
    """By id: the mask (K, H, W), what abstains (H, W), and the annotations."""
    coco = pytest.importorskip("pycocotools.coco").COCO(folder / "annotations" / f"instances_{split}.json")
    found = {}
    for image in coco.loadImgs(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds([image["id"]]))
        mask = np.zeros((len(coco.getCatIds()), image["height"], image["width"]), dtype=bool)
        crowd = np.zeros_like(mask)
        for one in annotations:
            (crowd if one["iscrowd"] else mask)[one["category_id"] - 1] |= coco.annToMask(one) > 0
        found[image["id_in_set"]] = (mask, crowd, annotations)
    return found


def test_masks_come_back_equal(
    make_label_set: Callable[..., LabelSet], tmp_path: Path, tells_nothing: Callable
) -> None:
    labels = make_label_set(overlap=True)
    figures = write_coco(labels, tmp_path / "out")
    seen = {}
    for split in ("train", "val", "test"):
        own = read_back(tmp_path / "out", split)
        assert set(own) == {image.id for image in labels.images if image.split == split}
        seen |= own
    for image in labels.images:
        mask, crowd, annotations = seen[image.id]
        wanted, weight = labels.read_label(image)
        np.testing.assert_array_equal(mask, wanted)
        np.testing.assert_array_equal(crowd, np.broadcast_to(weight == 0, crowd.shape))
        scores = {one.get("score") for one in annotations}
        assert scores == ({None} if image.score is None else {0.8765})
    _, _, annotations = seen["p/a"]
    objects = [one for one in annotations if one["category_id"] == 1]
    assert len(objects) == 4, "ring, island, pixel, two that touch at a corner"
    assert sorted(one["area"] for one in objects) == [1, 1, 2, 40]
    assert max(objects, key=lambda one: one["area"])["bbox"] == [2, 2, 7, 7]
    assert figures["images"]["train"] == {"gold": 4, "pseudo": 2}
    assert figures["objects"] == sum(not one["iscrowd"] for _, _, found in seen.values() for one in found)
    tells_nothing(tmp_path / "out")


def test_a_missing_pycocotools_is_named_with_its_remedy(
    make_label_set: Callable[..., LabelSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(ConfigError, match=r'coco needs pycocotools.*pip install "labelmine\[export\]"'):
        write_coco(make_label_set(), tmp_path / "out")
