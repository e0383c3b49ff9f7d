from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelmine.data.duplicates import image_hash, near_duplicates
from labelmine.data.items import Item
from labelmine.data.phantom import phantom

MakeItems = Callable[..., list[Item]]


def _image(index: int) -> np.ndarray:
    return phantom(0, index)[0].astype(np.float32) / 255


def _read_file(item: Item) -> np.ndarray:
    return np.asarray(Image.open(item["image"]).convert("RGB"), dtype=np.float32) / 255


def _folder_items(folder: Path) -> list[Item]:
    return [{"id": path.stem, "image": str(path), "group": path.stem} for path in sorted(folder.iterdir())]


def test_copies_with_other_size_light_and_noise_are_found(make_items: MakeItems) -> None:
    rng = np.random.default_rng(0)
    images = [_image(index) for index in range(20)]
    small = Image.fromarray((images[0] * 255).astype(np.uint8)).resize((70, 64))
    images += [np.asarray(small) / 255, images[2] * 0.8, np.clip(images[4] + rng.normal(0, 0.02, (96, 96, 3)), 0, 1)]
    items = make_items(23)
    pictures = dict(zip([item["id"] for item in items], images, strict=True))
    pairs = near_duplicates(items, lambda item: pictures[item["id"]])
    assert [pair[:2] for pair in pairs] == [
        ("image_000", "image_020"),
        ("image_002", "image_021"),
        ("image_004", "image_022"),
    ]


def test_against_slow_comparison(make_items: MakeItems) -> None:
    items = make_items(30)
    hashes = {item["id"]: image_hash(_image(n)) for n, item in enumerate(items)}
    expected = []
    for n, a in enumerate(items):
        for b in items[n + 1 :]:
            bits = [bin(int(x) ^ int(y)).count("1") for x, y in zip(hashes[a["id"]], hashes[b["id"]], strict=True)]
            if sum(bits) <= 190:
                expected.append((a["id"], b["id"], sum(bits)))
    assert expected
    assert near_duplicates(items, lambda item: _image(int(item["id"][-3:])), max_distance=190) == expected


def test_blank_images_match_nothing(make_items: MakeItems) -> None:
    assert image_hash(np.full((8, 8, 3), 0.5)) is None
    assert near_duplicates(make_items(4), lambda item: np.zeros((32, 32, 3), dtype=np.float32)) == []


def test_one_group_needs_no_pairs(make_items: MakeItems) -> None:
    items = make_items(4, groups=["a", "a", "b", "b"])
    pairs = near_duplicates(items, lambda item: _image(3))
    assert {pair[:2] for pair in pairs} == {
        (a, b) for a in ("image_000", "image_001") for b in ("image_002", "image_003")
    }


def test_only_the_middle_of_a_volume_is_read() -> None:
    items: list[Item] = [
        {"id": f"{name}_frame{k:04d}", "image": f"{name}.nii", "group": name, "frame": k}
        for name in "ab"
        for k in range(9)
    ]
    read: list[str] = []

    def reader(item: Item) -> np.ndarray:
        read.append(item["id"])
        return _image(1)

    assert near_duplicates(items, reader, workers=1) == [("a_frame0004", "b_frame0004", 0)]
    assert sorted(read) == ["a_frame0004", "b_frame0004"]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "expected"), [("busi", 102), ("isic2016", 0), ("cxr_lung", 0), ("kvasir_seg", 4)])
def test_real_images(shared_data: Path, name: str, expected: int) -> None:
    pairs = near_duplicates(_folder_items(shared_data / name / "images"), _read_file)
    assert abs(len(pairs) - expected) <= expected // 50  # JPEG decoders may differ in a bit
