"""The listing of an image set with weakly labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from labelmine.data import Item, prepare_image_set
from labelmine.errors import ConfigError, DataError
from makers import loaded_script

ROLES = {**{f"g{n}": "gold" for n in range(6)}, "w0": "weak", "w1": "weak", **{f"o{n}": "other" for n in range(4)}}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded_script("weak_label_lists")


def items(names: Sequence[str] = tuple(ROLES), without: Sequence[str] = ()) -> list[Item]:
    labels = {name: {} if name in without else {"label": f"masks/{name}.png"} for name in names}
    return [Item(id=name, image=f"images/{name}.png", group=name, **labels[name]) for name in names]


def splits(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["id"], table["split"], strict=True))


def test_roles_become_splits(script: ModuleType) -> None:
    found = splits(script.listing(items(without=["w1"]), ROLES, [], seed=0, n_val=2))

    assert sorted(found) == sorted(ROLES)
    assert sorted(found[f"g{n}"] for n in range(6)) == ["train"] * 4 + ["val"] * 2
    assert {found["w0"], found["w1"]} == {"unlabeled"}
    assert {found[f"o{n}"] for n in range(4)} == {"test"}


def test_another_seed_validates_with_other_images(script: ModuleType) -> None:
    drawn = [splits(script.listing(items(), ROLES, [], seed=seed, n_val=2)) for seed in (0, 0, 1, 2)]

    assert drawn[0] == drawn[1]
    assert len({tuple(sorted(found.items())) for found in drawn}) > 1


def test_tests_hold_no_image_that_looks_like_a_used_one(script: ModuleType) -> None:
    pairs = [("g0", "o0", 3), ("o0", "o1", 5), ("o2", "w1", 1)]

    found = splits(script.listing(items(), ROLES, pairs, n_val=2))

    assert {name for name, split in found.items() if split == "test"} == {"o3"}


@pytest.mark.parametrize("seed", range(8))
def test_near_duplicates_stay_in_one_split(script: ModuleType, seed: int) -> None:
    table = script.listing(items(), ROLES, [("g0", "g3", 3), ("g3", "g5", 3)], seed=seed, n_val=2)

    assert table.groupby("group")["split"].nunique().max() == 1
    assert len({splits(table)[name] for name in ("g0", "g3", "g5")}) == 1


def test_folds_test_each_gold_image_once(script: ModuleType) -> None:
    names = [name for name in ROLES if not name.startswith("o")]
    tables = [script.listing(items(names), ROLES, [], n_val=1, fold=fold, folds=3) for fold in range(3)]

    tested = [name for table in tables for name, split in splits(table).items() if split == "test"]
    assert sorted(tested) == [f"g{n}" for n in range(6)]
    assert all(list(splits(table).values()).count("val") == 1 for table in tables)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"fold": 3, "folds": 3}, ConfigError, r"fold: expected 0 to 2 \(folds is 3\), got 3"),
        ({"n_val": 6}, ConfigError, "n_val: expected 1 or more and fewer than the 6 gold images, got 6"),
        ({"n_val": 0}, ConfigError, "n_val: expected 1 or more .* got 0"),
        ({"items": items(without=["g2"])}, DataError, "g2: has the role gold but no mask; add masks/g2.png"),
        ({"items": items([f"g{n}" for n in range(6)])}, DataError, "no image of role 'other' can test: give --fold"),
    ],
)
def test_refuses(script: ModuleType, settings: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        script.listing(**{"items": items(), "roles": ROLES, "pairs": [], "n_val": 2, **settings})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "roles.csv: does not exist; list the images there"),
        ("name,part\na,gold\n", "expected the columns name,role; got name,part"),
        ("name,role\na,silver\n", "expected roles that begin with one of .* got 'silver'"),
        ("name,role\nb,gold25\n", "1 images have no role, first 'a'"),
    ],
)
def test_refuses_roles(script: ModuleType, tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "roles.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        script.read_roles(tmp_path, items(["a"]))


@pytest.mark.shared
def test_labelmine_reads_the_listing(
    script: ModuleType, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(str(shared_data / "isic2016"), str(tmp_path / "isic.csv"), fold=1)

    assert "test 5, train 15, unlabeled 97, val 5; 0 images" in capsys.readouterr().out
    found = prepare_image_set(str(tmp_path / "isic.csv"), str(tmp_path / "run"))
    counts = {name: found.summary[name] for name in ("n_gold", "n_gold_val", "n_gold_test", "n_unlabeled")}
    assert counts == {"n_gold": 15, "n_gold_val": 5, "n_gold_test": 5, "n_unlabeled": 97}
    assert found.summary["n_quarantined"] == 0
