from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelmine.errors import DataError
from labelmine.studies import EqualFraction, StudyResults, equal_fraction, summarise_study
from labelmine.studies.statistics import judge

Made = Callable[..., StudyResults]


def row_of(table: pd.DataFrame, method: str, fraction: float, test_set: str = "test") -> pd.Series:
    at = (table["method"] == method) & (table["fraction"] == fraction) & (table["test_set"] == test_set)
    (row,) = (row for _, row in table[at].iterrows())
    return row


def values_of(results: StudyResults, method: str, fraction: float) -> dict[int, dict[str, float]]:
    """Dice by seed and image, gathered row by row."""
    values: dict[int, dict[str, float]] = {}
    for row in results.images.itertuples():
        if (row.method, row.fraction) == (method, fraction):
            values.setdefault(row.seed, {})[row.id] = row.dice
    return values


def test_one_row_each_in_reading_order(study: StudyResults) -> None:
    table = summarise_study(study)
    assert list(zip(table["fraction"], table["method"], strict=True)) == [
        (0.1, "supervised"),
        (0.1, "one_time"),
        (0.1, "mean_teacher"),
        (0.5, "supervised"),
        (0.5, "one_time"),
        (1.0, "supervised"),
    ]


def test_mean_and_spread_are_over_seeds(study: StudyResults) -> None:
    row = row_of(summarise_study(study), "one_time", 0.1)
    means = [sum(by_image.values()) / 24 for by_image in values_of(study, "one_time", 0.1).values()]
    mean = sum(means) / 3
    assert row["dice"] == pytest.approx(mean)
    assert row["dice_sd"] == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in means) / 2))
    assert row["seed_dice"] == pytest.approx(means)
    assert (row["seeds"], row["n_images"], row["n_groups"], row["n_empty_gold"]) == ((0, 1, 2), 24, 12, 0)


def plain_bootstrap(values: np.ndarray, groups: np.ndarray) -> list[float]:
    """Draw whole groups, one by one."""
    rng = np.random.default_rng(5)
    names = np.unique(groups)
    means = []
    for _ in range(4000):
        drawn = [values[groups == name] for name in rng.choice(names, len(names))]
        means.append(np.concatenate(drawn).mean())
    return [float(value) for value in np.percentile(means, [2.5, 97.5])]


def test_intervals_agree_with_a_plain_bootstrap_of_groups(study: StudyResults) -> None:
    row = row_of(summarise_study(study), "one_time", 0.1)
    groups = study.images["group"].to_numpy()[:24]
    mined, supervised = (
        np.mean([list(by_image.values()) for by_image in values_of(study, method, 0.1).values()], axis=0)
        for method in ("one_time", "supervised")
    )
    assert np.allclose([row["dice_low"], row["dice_high"]], plain_bootstrap(mined, groups), atol=0.006)
    expected = plain_bootstrap(mined - supervised, groups)
    assert np.allclose([row["difference_low"], row["difference_high"]], expected, atol=0.001)
    # Images differ far more than methods do on one image: this is what pairing is for.
    assert row["difference_high"] - row["difference_low"] < 0.2 * (row["dice_high"] - row["dice_low"])


def test_the_difference_is_paired_by_seed(study: StudyResults) -> None:
    table = summarise_study(study)
    row, before = row_of(table, "one_time", 0.1), row_of(table, "supervised", 0.1)
    assert row["difference"] == pytest.approx(row["dice"] - before["dice"])
    assert row["seed_differences"] == pytest.approx(np.subtract(row["seed_dice"], before["seed_dice"]))
    assert (row["common_seeds"], row["intervals_apart"], row["verdict"]) == ((0, 1, 2), True, "better")
    assert row_of(table, "mean_teacher", 0.1)["verdict"] == "worse"
    assert row_of(table, "one_time", 0.5)["verdict"] == "unsure"
    assert (before["common_seeds"], before["intervals_apart"], before["verdict"]) == ((), False, "")
    assert math.isnan(before["difference"])


def test_other_seeds_are_left_out_of_the_difference(make_results: Made) -> None:
    dice = {("supervised", 0.1): 0.5, ("one_time", 0.1): 0.55, ("mean_teacher", 0.1): 0.5}
    seeds_of = {("one_time", 0.1): (1, 2, 7), ("mean_teacher", 0.1): (8, 9)}
    results = make_results(dice, seeds_of=seeds_of, noise=0.05)
    table = summarise_study(results)
    row = row_of(table, "one_time", 0.1)
    before, after = values_of(results, "supervised", 0.1), values_of(results, "one_time", 0.1)
    expected = [np.mean(list(after[seed].values())) - np.mean(list(before[seed].values())) for seed in (1, 2)]
    assert row["seeds"] == (1, 2, 7)
    assert row["common_seeds"] == (1, 2)
    assert row["seed_differences"] == pytest.approx(expected)
    assert row["difference"] == pytest.approx(np.mean(expected))
    alone = row_of(table, "mean_teacher", 0.1)
    assert alone["common_seeds"] == ()
    assert alone["equal_relation"] == ""
    assert math.isnan(alone["difference"])


def test_one_seed_has_no_spread(make_results: Made) -> None:
    row = row_of(summarise_study(make_results({("supervised", 0.1): 0.5}, seeds=[4])), "supervised", 0.1)
    assert math.isnan(row["dice_sd"])
    assert row["seeds"] == (4,)


def test_seeds_that_disagree_leave_it_unsure() -> None:
    assert judge(True, [0.02, 0.03]) == "better"
    assert judge(True, [-0.02, -0.03]) == "worse"
    assert judge(True, [0.08, -0.01]) == "unsure"
    assert judge(False, [0.02, 0.03]) == "unsure"


def test_costs_and_counts_are_means_but_memory_the_highest(study: StudyResults) -> None:
    row = row_of(summarise_study(study), "one_time", 0.1)
    assert (row["n_gold"], row["n_gold_val"], row["n_unlabeled"]) == (8, 2, 90)
    assert (row["seconds"], row["peak_memory_mb"], row["teacher_calls"], row["steps"]) == (101, 902, 201, 1500)
    assert math.isnan(row_of(summarise_study(study), "supervised", 0.1)["teacher_calls"])


def with_more_measures(results: StudyResults) -> StudyResults:
    """Lesions and distances; the first image of each cell has no distance, the last two no spacing."""
    images = results.images.copy()
    place = images.groupby(["method", "fraction", "seed"]).cumcount()
    for size, count in (("small", 2), ("medium", 1), ("large", 0)):
        images[f"lesions_{size}"] = count
        images[f"found_{size}"] = np.where(place % 3 == 0, count, 0) if size == "small" else count
    images["false_lesions"] = images["seed"]
    images["surface_dice"] = images["dice"].where(place < 22)
    images["hd95"] = (10 * (1 - images["dice"])).where((place > 0) & (place < 22))
    images["dice_polyp"], images["dice_tool"] = images["dice"], 0.5
    return dataclasses.replace(results, images=images)


def test_lesions_are_pooled_over_images_and_averaged_over_seeds(study: StudyResults) -> None:
    row = row_of(summarise_study(with_more_measures(study)), "one_time", 0.1)
    assert row["recall_small"] == pytest.approx(8 / 24)
    assert row["recall_medium"] == 1
    assert math.isnan(row["recall_large"])
    assert row["recall_all"] == pytest.approx((16 + 24) / 72)
    assert (row["lesions_small"], row["lesions_large"], row["false_lesions"]) == (48, 0, 1)


def test_distances_are_means_where_defined_and_the_others_counted(study: StudyResults) -> None:
    row = row_of(summarise_study(with_more_measures(study)), "one_time", 0.1)
    by_seed = [list(by_image.values()) for by_image in values_of(study, "one_time", 0.1).values()]
    assert row["hd95"] == pytest.approx(np.mean([10 * (1 - np.mean(values[1:22])) for values in by_seed]))
    assert row["surface_dice"] == pytest.approx(np.mean([np.mean(values[:22]) for values in by_seed]))
    assert (row["hd95_defined"], row["hd95_undefined"]) == (63, 3)


def test_classes_have_their_columns(study: StudyResults) -> None:
    row = row_of(summarise_study(with_more_measures(study)), "one_time", 0.1)
    assert row["class_dice_polyp"] == pytest.approx(row["dice"])
    assert row["class_dice_tool"] == 0.5


def test_measures_that_were_not_taken_are_absent(study: StudyResults) -> None:
    assert not {"recall_all", "hd95", "surface_dice"} & set(summarise_study(study).columns)


def test_each_test_set_is_summed_up_by_itself(make_results: Made) -> None:
    results = make_results({("supervised", 0.1): 0.5, ("one_time", 0.1): 0.6}, test_sets=["clinic", "test"])
    table = summarise_study(results)
    assert list(table["test_set"]) == ["test", "test", "clinic", "clinic"]
    assert row_of(table, "one_time", 0.1, "clinic")["difference"] == pytest.approx(0.1, abs=0.01)


def test_the_same_study_gives_the_same_figures(study: StudyResults) -> None:
    pd.testing.assert_frame_equal(summarise_study(study), summarise_study(study))


def test_equal_fraction_is_read_off_the_baseline(study: StudyResults) -> None:
    table = summarise_study(study)
    curve = {fraction: row_of(table, "supervised", fraction)["dice"] for fraction in (0.1, 0.5, 1.0)}
    row = row_of(table, "one_time", 0.1)
    share = (row["dice"] - curve[0.1]) / (curve[0.5] - curve[0.1])
    assert row["equal_fraction"] == pytest.approx(0.1 * 5**share, rel=1e-4)
    assert row["equal_relation"] == "equal"
    less = row_of(table, "mean_teacher", 0.1)
    assert (less["equal_fraction"], less["equal_relation"]) == (0.1, "less")


def test_a_fraction_without_the_method_s_seeds_is_no_point_of_the_curve(make_results: Made) -> None:
    dice = {("supervised", 0.1): 0.5, ("supervised", 0.5): 0.6, ("one_time", 0.1): 0.55}
    table = summarise_study(make_results(dice, seeds_of={("supervised", 0.5): (0,)}))
    row = row_of(table, "one_time", 0.1)
    assert (row["equal_fraction"], row["equal_relation"]) == (0.1, "more")


def test_a_curve_that_falls_is_read_where_it_first_reaches() -> None:
    assert equal_fraction(0.6, {0.1: 0.5, 0.2: 0.6, 0.5: 0.55, 1.0: 0.7}) == EqualFraction(0.2, "equal")
    assert equal_fraction(0.5, {0.1: 0.5, 0.2: 0.5}) == EqualFraction(0.1, "equal")
    assert equal_fraction(0.8, {0.1: 0.9, 0.2: 0.5}) == EqualFraction(0.1, "less")


def test_an_empty_curve_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected a baseline curve .* got none; run the baseline first"):
        equal_fraction(0.5, {})


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=6, unique=True).map(sorted),
    st.lists(st.floats(0, 1), min_size=6, max_size=6).map(sorted),
    st.floats(-0.5, 1.5),
)
def test_equal_fraction_stays_on_the_curve(fractions: list[float], dice: list[float], asked: float) -> None:
    curve = dict(zip(fractions, dice, strict=False))
    found = equal_fraction(asked, curve)
    assert fractions[0] - 1e-6 <= found.fraction <= fractions[-1] + 1e-6
    assert (found.relation == "less") == (asked < curve[fractions[0]])
    assert (found.relation == "more") == (asked > curve[fractions[-1]])


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0, 1), st.floats(0, 1))
def test_more_dice_never_equals_fewer_masks(dice: list[float], one: float, other: float) -> None:
    curve = dict(zip((0.05, 0.1, 0.25, 0.5, 1.0), dice, strict=True))
    low, high = (equal_fraction(value, curve).fraction for value in sorted((one, other)))
    assert low <= high
