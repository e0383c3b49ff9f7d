from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labelmine.data.items import Item
from labelmine.data.split_file import adopt_split, load_split, save_split
from labelmine.data.splits import split_items
from labelmine.errors import DataError

MakeItems = Callable[..., list[Item]]
SETTINGS = {"seed": 0, "labeled_fraction": 0.5}


@pytest.fixture
def saved(tmp_path: Path, make_items: MakeItems) -> Path:
    items = make_items(20, labeled=15)
    save_split(
        tmp_path / "split.json",
        items,
        split_items(items, labeled_fraction=0.5),
        SETTINGS,
        [("image_000", "image_001", 4)],
    )
    return tmp_path / "split.json"


def test_round_trip_whatever_the_order(saved: Path, make_items: MakeItems) -> None:
    items = make_items(20, labeled=15)
    loaded = load_split(saved, items[::-1], SETTINGS)
    assert loaded is not None
    assert loaded[0][::-1] == split_items(items, labeled_fraction=0.5)
    assert loaded[1] == [("image_000", "image_001", 4)]
    assert not list(saved.parent.glob("*.tmp"))


def test_held_out_images_stay_out(tmp_path: Path, make_items: MakeItems) -> None:
    items = make_items(6)
    save_split(tmp_path / "split.json", items, split_items(items)[:-1], SETTINGS, [])
    loaded = load_split(tmp_path / "split.json", items, SETTINGS)
    assert loaded is not None
    assert [item["id"] for item in loaded[0]] == [item["id"] for item in items[:-1]]
    assert json.loads((tmp_path / "split.json").read_text())["held_out"] == ["image_005"]


def test_no_file_no_split(tmp_path: Path, make_items: MakeItems) -> None:
    assert load_split(tmp_path / "split.json", make_items(3), SETTINGS) is None


def test_changed_knob(saved: Path, make_items: MakeItems) -> None:
    with pytest.raises(DataError, match=r"split.json: .*seed was 0, is now 1\. Use another output_dir"):
        load_split(saved, make_items(20, labeled=15), {**SETTINGS, "seed": 1})


def test_changed_images(saved: Path, make_items: MakeItems) -> None:
    with pytest.raises(DataError, match="the images, masks or groups found differ"):
        load_split(saved, make_items(20, labeled=14), SETTINGS)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": {}}'])
def test_damaged_file(saved: Path, make_items: MakeItems, content: str) -> None:
    saved.write_text(content)
    with pytest.raises(DataError, match=r"split.json: not a split that labelmine wrote .* Delete it"):
        load_split(saved, make_items(20, labeled=15), SETTINGS)


def test_another_run_s_split_is_adopted(saved: Path, make_items: MakeItems) -> None:
    items = make_items(20, labeled=15)
    adopted, pairs = adopt_split(saved, items)
    assert adopted == split_items(items, labeled_fraction=0.5)
    assert pairs == [("image_000", "image_001", 4)]


def test_a_split_of_other_images_is_not_adopted(saved: Path, make_items: MakeItems) -> None:
    with pytest.raises(DataError, match="splits other images, masks or groups than were found"):
        adopt_split(saved, make_items(20, labeled=14))


def test_a_split_that_is_not_there(tmp_path: Path, make_items: MakeItems) -> None:
    with pytest.raises(DataError, match=r"split_file: .*none.json is not there. Give the split.json of an earlier run"):
        adopt_split(tmp_path / "none.json", make_items(3))
