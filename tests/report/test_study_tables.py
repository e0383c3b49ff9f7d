from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from labelmine.report import study_tables
from labelmine.studies import StudyResults, summarise_study

Made = Callable[..., StudyResults]
DASH = "\N{EN DASH}"


def test_a_method_that_has_no_cell_has_a_dash(study: StudyResults) -> None:
    table = study_tables.overview_table(summarise_study(study))
    assert table.header == ("", "10 %", "50 %", "100 %")
    assert [row[0] for row in table.rows] == ["Supervised", "Mined", "Mean teacher"]
    assert table.rows[1][3] == table.rows[2][2] == DASH


def test_one_seed_has_a_dash_for_its_spread(make_results: Made) -> None:
    grid = study_tables.overview_table(summarise_study(make_results({("supervised", 0.1): 0.5}, seeds=[0])))
    assert grid.rows[0][1].endswith(f" ± {DASH}")


def test_differences_say_how_sure_they_are(study: StudyResults) -> None:
    grid = study_tables.difference_table(study, summarise_study(study))
    assert grid is not None
    assert grid.header == ("", "10 %", "50 %")
    assert grid.rows[0][1].startswith("+0.0")
    assert [cell.split()[-1] for cell in grid.rows[0][1:]] == ["better", "unsure"]
    assert grid.rows[1][1].endswith("worse")


def test_without_baseline_no_table_speaks_of_change(make_results: Made) -> None:
    results = make_results({("one_time", 0.1): 0.5})
    rows = summarise_study(results)
    assert study_tables.difference_table(results, rows) is None
    assert study_tables.efficiency_table(results, rows) is None
    assert study_tables.method_tables(results, rows)[0].header[-1] == "seeds"


def test_each_method_has_its_table(study: StudyResults) -> None:
    supervised, mined, _ = study_tables.method_tables(study, summarise_study(study))
    assert supervised.caption == "Supervised"
    assert supervised.rows[0][:2] == ("10 %", "8 + 2")
    assert mined.caption == "Mined; change: against Supervised, same seeds"
    assert mined.header[-3:] == ("change", "its 95 % interval", "seeds higher")
    assert mined.rows[0][-1] == "3 of 3"


def test_measures_that_were_not_taken_have_no_table(study: StudyResults) -> None:
    rows = summarise_study(study)
    assert study_tables.lesion_table(rows) is study_tables.surface_table(rows) is study_tables.class_table(rows) is None


def test_lesions_distances_and_classes_have_tables(study: StudyResults) -> None:
    lesions = {"lesions_small": 2, "found_small": 1, "lesions_medium": 1, "found_medium": 1}
    images = study.images.assign(**lesions, lesions_large=0, found_large=0, false_lesions=1)
    images = images.assign(surface_dice=0.5, hd95=4.0, dice_polyp=0.25)
    images.loc[images["id"] == "i00", "hd95"] = float("nan")
    rows = summarise_study(dataclasses.replace(study, images=images))
    found, distances, classes = (
        study_tables.lesion_table(rows),
        study_tables.surface_table(rows),
        study_tables.class_table(rows),
    )
    assert found is not None
    assert found.header[1:] == (
        "small, under 2 % (n = 48)",
        "medium, 2 to 10 % (n = 24)",
        "all sizes (n = 72)",
        "false lesions per image",
    )
    assert found.rows[0] == ("Supervised, 10 %", "0.500", "1.000", "0.667", "1.000")
    assert distances is not None
    assert distances.rows[0][1:] == ("4.000", "3 of 72", "0.500")
    assert classes is not None
    assert (classes.header[1], classes.rows[0][1]) == ("polyp", "0.250")


def test_costs_have_a_dash_where_there_is_no_teacher(study: StudyResults) -> None:
    rows = study_tables.cost_table(summarise_study(study)).rows
    assert rows[0] == ("Supervised, 10 %", "1,500", "1 min 41 s", "902", DASH, "90")
    assert rows[1][4] == "201"


@pytest.mark.parametrize(("value", "words"), [(1500.4, "1,500"), (float("nan"), DASH)])
def test_whole_numbers(value: float, words: str) -> None:
    assert study_tables.whole(value) == words
