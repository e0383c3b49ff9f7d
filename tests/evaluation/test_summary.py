from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelmine.atomic import write_whole
from labelmine.errors import DataError, StorageError
from labelmine.evaluation.summary import (
    best_median_worst,
    lesion_recall,
    lesion_size,
    paired_difference,
    summarise,
    write_metrics,
    write_table,
)


def table_of(dice: list[float], area: float | list[float] = 0.05, groups: list[str] | None = None) -> pd.DataFrame:
    ids = [f"image{index}" for index in range(len(dice))]
    return pd.DataFrame(
        {
            "id": ids,
            "group": groups or ids,
            "dice": dice,
            "iou": [value / (2 - value) for value in dice],
            "gold_area": area,
            "n_lesions": 1,
            "gold_empty": np.asarray(area) == 0 if isinstance(area, list) else False,
        }
    )


def test_mean_spread_and_median() -> None:
    summary = summarise(table_of([0.2, 0.4, 0.9]))
    assert summary["dice"]["mean"] == pytest.approx(0.5)
    assert summary["dice"]["std"] == pytest.approx(math.sqrt((0.09 + 0.01 + 0.16) / 2))
    assert (summary["dice"]["median"], summary["dice"]["n"], summary["n_empty_gold"]) == (0.4, 3, 0)


def test_interval_is_seeded_and_agrees_with_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    dice = rng.beta(4, 2, 80)
    table = table_of(dice.tolist())
    first, again, other = (summarise(table, seed)["dice"]["ci95"] for seed in (3, 3, 4))
    assert first == again != other
    means = [rng.choice(dice, 80).mean() for _ in range(4000)]
    assert np.allclose(first, np.percentile(means, [2.5, 97.5]), atol=0.01)


def test_order_of_rows_does_not_move_the_interval() -> None:
    table = table_of(np.random.default_rng(0).random(30).tolist())
    assert summarise(table)["dice"]["ci95"] == pytest.approx(
        summarise(table.sample(frac=1, random_state=1))["dice"]["ci95"]
    )


def test_slices_of_one_volume_are_drawn_together() -> None:
    dice = np.repeat([0.2, 0.5, 0.8, 0.9], 25).tolist()
    alone = summarise(table_of(dice))["dice"]["ci95"]
    summary = summarise(table_of(dice, groups=[str(index // 25) for index in range(100)]))
    together = summary["dice"]["ci95"]
    assert summary["n_groups"] == 4
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_what_cannot_be_estimated_is_nan() -> None:
    one = summarise(table_of([0.5]))["dice"]
    assert one["mean"] == 0.5
    assert math.isnan(one["std"])
    assert all(map(math.isnan, one["ci95"]))
    assert math.isnan(summarise(table_of([]))["dice"]["mean"])


def test_sizes_follow_the_share_of_the_image() -> None:
    table = table_of([0.5] * 6, area=[0.0, 0.01, 0.02, 0.0999, 0.1, 1.0])
    assert lesion_size(table).tolist() == ["empty", "small", "medium", "medium", "large", "large"]
    by_size = summarise(table)["by_size"]
    assert {name: part["n"] for name, part in by_size.items()} == {"small": 1, "medium": 2, "large": 2, "empty": 1}


def test_empty_gold_is_its_own_part() -> None:
    summary = summarise(table_of([1.0, 0.0, 0.7], area=[0.0, 0.0, 0.3]))
    assert summary["n_empty_gold"] == 2
    assert "small" not in summary["by_size"]
    assert summary["by_size"]["large"]["mean"] == pytest.approx(0.7)


def test_classes_are_summed_up_where_there_are_several() -> None:
    table = table_of([0.5, 0.7]).assign(dice_head=[0.4, 0.6], dice_tail=[0.6, 0.8])
    assert {name: part["mean"] for name, part in summarise(table)["classes"].items()} == pytest.approx(
        {"head": 0.5, "tail": 0.7}
    )
    assert "classes" not in summarise(table_of([0.5]))


def with_lesions(table: pd.DataFrame, small: list[tuple[int, int]], false: list[int]) -> pd.DataFrame:
    """Rows with (found, lesions) of the small size, one found large lesion each, and no medium one."""
    found, lesions = np.transpose(small)
    return table.assign(
        lesions_small=lesions, lesions_medium=0, lesions_large=1,
        found_small=found, found_medium=0, found_large=1, false_lesions=false,
    )  # fmt: skip


def test_lesion_recall_pools_the_lesions_of_all_images() -> None:
    table = with_lesions(table_of([0.5] * 3), [(1, 1), (0, 6), (1, 1)], [0, 3, 0])
    summary = summarise(table)
    assert summary["lesion_recall"] == lesion_recall(table)
    assert summary["lesion_recall"]["small"] == {"found": 2, "n": 8, "recall": 0.25}  # the mean of images is 2 / 3
    assert summary["lesion_recall"]["all"] == {"found": 5, "n": 11, "recall": 5 / 11}
    assert summary["lesion_recall"]["medium"]["n"] == 0
    assert math.isnan(summary["lesion_recall"]["medium"]["recall"])
    assert summary["false_lesions"]["mean"] == 1
    assert not {"lesion_recall", "false_lesions"} & set(summarise(table_of([0.5])))


def test_distances_are_summed_up_where_they_are_known() -> None:
    hd95, surface = [1.0, math.nan, 4.0, math.nan], [0.9, 0.0, 0.6, math.nan]
    summary = summarise(table_of([0.5] * 4).assign(hd95=hd95, surface_dice=surface))
    assert {key: summary["hd95"][key] for key in ("mean", "median", "n", "n_undefined")} == {
        "mean": 2.5, "median": 2.5, "n": 2, "n_undefined": 1,
    }  # fmt: skip
    assert summary["surface_dice"]["mean"] == pytest.approx(0.5)
    assert summary["surface_dice"]["n"] == 3
    low, high = summary["hd95"]["ci95"]
    assert 1 <= low <= high <= 4


def test_sets_without_spacing_have_no_distances() -> None:
    unknown = table_of([0.5, 0.6]).assign(hd95=math.nan, surface_dice=math.nan)
    for table in (unknown, table_of([0.5]), table_of([]).assign(hd95=[], surface_dice=[])):
        assert not {"hd95", "surface_dice"} & set(summarise(table))


def test_no_distance_at_all_is_nan() -> None:
    summary = summarise(table_of([0.0, 0.0]).assign(hd95=math.nan, surface_dice=0.0))
    assert (summary["hd95"]["n"], summary["hd95"]["n_undefined"]) == (0, 2)
    assert math.isnan(summary["hd95"]["mean"])


def test_paired_difference_matches_images_by_id() -> None:
    before, after = table_of([0.5, 0.5, 0.5, 0.5]), table_of([0.7, 0.5, 0.505, 0.4])
    delta = paired_difference(before, after.iloc[::-1])
    assert delta["mean"] == pytest.approx(0.105 / 4)
    assert (delta["better"], delta["same"], delta["worse"]) == (1, 2, 1)
    with pytest.raises(DataError, match=r"same images in both tables, got 1 in one only: \['image3'\]"):
        paired_difference(before, after.iloc[:3])


def test_best_median_and_worst_are_different_images() -> None:
    assert best_median_worst(table_of([0.1, 0.9, 0.5])) == {"best": "image1", "median": "image2", "worst": "image0"}
    assert best_median_worst(table_of([0.5])) == {"best": "image0"}
    assert best_median_worst(table_of([0.5, 0.5])) == {"best": "image0", "median": "image1"}
    assert best_median_worst(table_of([])) == {}


def test_metrics_are_plain_json_with_null_for_nan(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.json"
    write_metrics(path, {"a": math.nan, "b": [np.float32(0.5), math.inf], "c": {"n": np.int64(3)}, "p": Path("x/y")})
    assert json.loads(path.read_text()) == {"a": None, "b": [0.5, None], "c": {"n": 3}, "p": "x/y"}
    assert [entry.name for entry in path.parent.iterdir()] == ["metrics.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_metrics(path, {"run": 1})

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(StorageError, match="no space left"):
        write_whole(path, b"{")
    assert json.loads(path.read_text()) == {"run": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


def test_tables_come_back_from_csv(tmp_path: Path) -> None:
    table = table_of([0.25, 0.5])
    write_table(tmp_path / "images.csv", table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "images.csv")[["id", "dice"]], table[["id", "dice"]])
