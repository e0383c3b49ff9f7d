from __future__ import annotations

from labelmine.data import Item, gold_folds


def gold(count: int, per_group: int = 1) -> list[Item]:
    return [Item(id=f"{n:02d}", image=f"{n}.png", label=f"{n}.png", group=f"g{n // per_group}") for n in range(count)]


def test_each_image_is_held_out_once_and_never_trained_on_there() -> None:
    items = gold(20)
    folds = gold_folds(items, 3, seed=0)
    assert sorted(len(fold.held_out) for fold in folds) == [6, 7, 7]
    held_out = [item["id"] for fold in folds for item in fold.held_out]
    assert sorted(held_out) == [item["id"] for item in items]
    for fold in folds:
        assert {item["id"] for item in fold.train} == set(held_out) - {item["id"] for item in fold.held_out}


def test_groups_and_near_duplicates_stay_together() -> None:
    items = gold(12, per_group=2)
    for seed in range(5):
        for fold in gold_folds(items, 3, seed, [("00", "11", 4), ("05", "elsewhere", 1)]):
            held_out = {item["id"] for item in fold.held_out}
            assert not {item["group"] for item in fold.train} & {item["group"] for item in fold.held_out}
            assert ("00" in held_out) == ("11" in held_out)


def test_few_groups_make_few_folds_and_one_group_none() -> None:
    assert len(gold_folds(gold(2), 3, seed=0)) == 2
    assert gold_folds(gold(4, per_group=4), 3, seed=0) == []
    assert gold_folds(gold(9), 0, seed=0) == []
