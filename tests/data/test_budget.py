from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmine.data.budget import split_by_budget
from labelmine.data.items import Item
from labelmine.errors import ConfigError, DataError

Maker = Callable[..., list[Item]]


def gold(count: int, group_size: int = 1) -> list[Item]:
    return [
        Item(id=f"i{n:03d}", image=f"{n}.png", label=f"{n}_m.png", group=f"g{n // group_size:03d}")
        for n in range(count)
    ]


def ids(items: list[Item], *splits: str) -> set[str]:
    return {item["id"] for item in items if item["split"] in splits}


def test_validation_counts_in_the_budget() -> None:
    items = split_by_budget(gold(100), 0.25, val_share=0.2, test_fraction=0.2)
    assert (len(ids(items, "test")), len(ids(items, "train")), len(ids(items, "val"))) == (20, 16, 4)
    assert len(ids(items, "unlabeled")) == 60
    assert all(("dropped_label" in item) == (item["split"] == "unlabeled") for item in items)


def test_a_count_is_a_number_of_masks() -> None:
    items = split_by_budget(gold(50), 10)
    assert len(ids(items, "train", "val")) == 10


@given(
    count=st.integers(8, 60),
    group_size=st.integers(1, 4),
    budgets=st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)),
    seeds=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    share=st.floats(0.05, 0.5),
)
def test_budgets_nest_and_groups_stay_whole(
    count: int, group_size: int, budgets: tuple[float, float], seeds: tuple[int, int], share: float
) -> None:
    items = gold(count * group_size, group_size)
    small, large = (split_by_budget(items, b, seeds[0], val_share=share) for b in sorted(budgets))
    assert ids(small, "train") <= ids(large, "train")
    assert ids(small, "val") <= ids(large, "val")
    assert ids(small, "test") == ids(split_by_budget(items, budgets[0], seeds[1], val_share=share), "test")
    for split in (small, large):
        assert ids(split, "train")
        assert ids(split, "val")
        assert len({(item["group"], item["split"]) for item in split}) == len({item["group"] for item in split})


def test_near_duplicates_stay_together() -> None:
    items = split_by_budget(gold(20), 0.5, duplicates=[("i000", "i001", 0), ("i001", "i002", 1)])
    assert len({item["split"] for item in items if item["id"] in ("i000", "i001", "i002")}) == 1


def test_a_given_test_set_is_kept() -> None:
    items = gold(20)
    for item in items[:5]:
        item["split"] = "test"
    assert ids(split_by_budget(items, 0.5), "test") == {item["id"] for item in items[:5]}


def test_images_without_gold_are_mined_unless_they_share_a_group_with_the_exam() -> None:
    items = gold(20)
    free = Item(id="free", image="free.png", group="free")
    tied = Item(id="tied", image="tied.png", group=next(iter(ids(split_by_budget(gold(20), 0.5), "test"))))
    tied["group"] = next(i["group"] for i in items if i["id"] in ids(split_by_budget(items, 0.5), "test"))
    placed = split_by_budget([*items, free, tied], 0.5)
    assert "free" in ids(placed, "unlabeled")
    assert "tied" not in {item["id"] for item in placed}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"budget": 0}, "fraction of the gold in"),
        ({"budget": 1.5}, "got 1.5"),
        ({"budget": 0.1, "test_fraction": 1.0}, "test_fraction"),
        ({"budget": 0.1, "val_share": 0.6}, "val_share"),
    ],
)
def test_knobs_out_of_range(knobs: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_by_budget(gold(10), **knobs)


def test_too_little_gold() -> None:
    with pytest.raises(DataError, match="two groups of images with masks or more beside the test set"):
        split_by_budget(gold(2), 1.0)
