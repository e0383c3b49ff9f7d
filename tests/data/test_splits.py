from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from labelmine.data.items import Item
from labelmine.data.splits import split_items
from labelmine.errors import ConfigError, DataError

MakeItems = Callable[..., list[Item]]


def _by_id(items: list[Item]) -> dict[str, str]:
    return {item["id"]: item["split"] for item in items}


def _given(items: list[Item], **splits: list[int]) -> list[Item]:
    for split, numbers in splits.items():
        for number in numbers:
            items[number]["split"] = split  # type: ignore[typeddict-item]
    return items


def test_fractions_and_unlabeled(make_items: MakeItems) -> None:
    items = split_items(make_items(50, labeled=40), val_fraction=0.1, test_fraction=0.2)
    assert Counter(item["split"] for item in items) == {"train": 28, "val": 4, "test": 8, "unlabeled": 10}
    assert all("label" in item for item in items if item["split"] != "unlabeled")
    assert all("dropped_label" not in item for item in items)


def test_order_does_not_matter_and_seed_does(make_items: MakeItems) -> None:
    items = make_items(40)
    shuffled = random.Random(1).sample(items, len(items))
    assert _by_id(split_items(items, seed=3)) == _by_id(split_items(shuffled, seed=3))
    assert _by_id(split_items(items, seed=3)) != _by_id(split_items(items, seed=4))
    assert [item["id"] for item in split_items(shuffled)] == [item["id"] for item in shuffled]


def test_input_is_left_alone(make_items: MakeItems) -> None:
    items = make_items(10)
    split_items(items, labeled_fraction=0.2)
    assert items == make_items(10)


def test_groups_and_duplicate_chains_stay_together(make_items: MakeItems) -> None:
    groups = [f"patient_{number // 4}" for number in range(40)]
    chain = [("image_003", "image_004", 5), ("image_007", "image_008", 9)]
    for seed in range(20):
        splits = _by_id(split_items(make_items(40, groups=groups), seed=seed, duplicates=chain))
        by_group: dict[str, set[str]] = {}
        for number, group in enumerate(groups):
            by_group.setdefault(group, set()).add(splits[f"image_{number:03d}"])
        assert all(len(found) == 1 for found in by_group.values())
        assert by_group["patient_0"] == by_group["patient_1"] == by_group["patient_2"]


def test_labeled_fractions_are_nested_and_keep_the_exam(make_items: MakeItems) -> None:
    runs = {f: split_items(make_items(100), seed=7, labeled_fraction=f) for f in (0.01, 0.1, 0.25, 1.0)}
    train = {f: {item["id"] for item in run if item["split"] == "train"} for f, run in runs.items()}
    assert [len(train[f]) for f in runs] == [1, 8, 20, 80]
    assert train[0.01] < train[0.1] < train[0.25] < train[1.0]
    for run in runs.values():
        assert [i["id"] for i in run if i["split"] == "test"] == [i["id"] for i in runs[1.0] if i["split"] == "test"]
    dropped = [item for item in runs[0.1] if item["split"] == "unlabeled"]
    assert len(dropped) == 72
    assert all("label" not in item and item["dropped_label"].startswith("masks/") for item in dropped)


def test_labeled_fraction_goes_by_group(make_items: MakeItems) -> None:
    groups = [f"patient_{number // 5}" for number in range(100)]
    run = split_items(make_items(100, groups=groups), labeled_fraction=0.25)
    labeled = {item["group"] for item in run if item["split"] == "train"}
    assert len(labeled) == 4
    assert not labeled & {item["group"] for item in run if item["split"] == "unlabeled"}


def test_three_groups_are_enough(make_items: MakeItems) -> None:
    for seed in range(10):
        assert sorted(_by_id(split_items(make_items(3), seed=seed)).values()) == ["test", "train", "val"]


def test_unlabeled_images_of_exam_patients_are_left_out(make_items: MakeItems) -> None:
    groups = [f"patient_{number % 10}" for number in range(30)]
    run = split_items(make_items(30, labeled=20, groups=groups))
    exam = {item["group"] for item in run if item["split"] in ("val", "test")}
    assert len(run) == 28
    assert not exam & {item["group"] for item in run if item["split"] in ("train", "unlabeled")}


def test_given_split_is_kept(make_items: MakeItems) -> None:
    items = _given(make_items(10), train=[0, 1, 2, 3], val=[4], test=[5, 6], unlabeled=[7])
    run = split_items(items)
    assert [item["split"] for item in run] == ["train"] * 4 + ["val", "test", "test", "unlabeled", "train", "train"]
    assert run[7]["dropped_label"] == "masks/image_007.png"


def test_given_training_set_gives_up_validation_and_test(make_items: MakeItems) -> None:
    run = split_items(_given(make_items(20), train=list(range(18)), test=[18, 19]))
    assert Counter(item["split"] for item in run) == {"train": 16, "val": 2, "test": 2}
    assert {run[18]["split"], run[19]["split"]} == {"test"}


def test_given_split_that_leaks_names_the_pair(make_items: MakeItems) -> None:
    items = _given(make_items(6), train=[0, 1, 2, 3], val=[4], test=[5])
    with pytest.raises(DataError, match=r"image_001 \(train\) and image_005 \(test\): near-duplicates.*into one split"):
        split_items(items, duplicates=[("image_001", "image_005", 3), ("image_000", "image_001", 2)])
    items[4]["group"] = items[0]["group"] = "patient_9"
    with pytest.raises(DataError, match=r"image_000 \(train\) and image_004 \(val\): group 'patient_9'"):
        split_items(items)


@pytest.mark.parametrize(("count", "labeled"), [(5, 0), (5, 2), (2, 2)])
def test_too_little_gold(make_items: MakeItems, count: int, labeled: int) -> None:
    with pytest.raises(DataError, match=rf"too little gold: .* got {labeled} such images in {labeled} groups"):
        split_items(make_items(count, labeled=labeled))


def test_many_images_of_one_patient_are_too_little_gold(make_items: MakeItems) -> None:
    with pytest.raises(DataError, match="got 20 such images in 1 groups"):
        split_items(make_items(20, groups=["patient"] * 20))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"val_fraction": 0.0}, "val_fraction: expected a fraction between 0 and 1, for example 0.1; got 0.0"),
        ({"test_fraction": 1.5}, "test_fraction: .* got 1.5"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "less than 1, so that some train; got 1"),
        ({"labeled_fraction": 0.0}, r"labeled_fraction: expected a fraction in \(0, 1\], for example 0.1; got 0.0"),
    ],
)
def test_fractions_out_of_range(make_items: MakeItems, knobs: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_items(make_items(10), **knobs)  # type: ignore[arg-type]
