from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pandas as pd
import pytest

from labelmine.studies import StudyResults, summarise_study, verdict

Made = Callable[..., StudyResults]


def headline(results: StudyResults) -> list[str]:
    return verdict.headline(results, summarise_study(results))


def warnings(results: StudyResults) -> str:
    return " ".join(verdict.warnings(results, summarise_study(results)))


def test_each_fraction_has_its_honest_sentence(study: StudyResults) -> None:
    lead, first, second, third = headline(study)
    assert lead == "A method beats Supervised at 1 of 2 label fractions (10 % of the gold)."
    assert first.startswith("With 10 % of the gold (8 masks to train, 2 to validate), Mined beats Supervised by 0.0")
    assert "; higher in 3 of 3 seeds)." in first
    assert "Worse: Mean teacher \N{MINUS SIGN}0.1" in first
    assert "Mined cannot be told apart from Supervised for the better: Mined changes Dice by" in second
    assert third.startswith(
        "With 100 % of the gold (80 masks to train, 20 to validate): Supervised alone, mean Dice 0."
    )
    assert third.endswith("No image is left to mine there.")


def test_all_worse_is_said(make_results: Made) -> None:
    dice = {("supervised", 0.1): 0.5, ("one_time", 0.1): 0.3, ("mean_teacher", 0.1): 0.4}
    lead, only = headline(make_results(dice))
    assert lead == "A method beats Supervised at 0 of 1 label fractions."
    assert "every method is worse than Supervised: Mean teacher changes Dice by \N{MINUS SIGN}0.1" in only
    assert "Worse: Mined \N{MINUS SIGN}0.2" in only


def test_seeds_that_disagree_are_no_victory(make_results: Made) -> None:
    results = make_results({("supervised", 0.1): 0.4, ("one_time", 0.1): 0.4})
    lift = results.images["seed"].map({0: 0.2, 1: 0.1, 2: -0.05}).where(results.images["method"] == "one_time", 0)
    lifted = results.images.assign(dice=results.images["dice"] + lift)
    lead, only = headline(dataclasses.replace(results, images=lifted))
    assert "at 0 of 1" in lead
    assert "cannot be told apart" in only
    assert "higher in 2 of 3 seeds, which disagree" in only


def test_without_the_baseline_nothing_is_claimed(make_results: Made) -> None:
    results = make_results({("one_time", 0.1): 0.5})
    (line,) = headline(results)
    assert "No student of the method 'supervised' was examined" in line
    assert "Add supervised to the methods" in line
    assert verdict.caveats(results, summarise_study(results)) == []


def test_the_baseline_alone_and_a_lonely_fraction(make_results: Made) -> None:
    assert headline(make_results({("supervised", 0.1): 0.5})) == [
        "Only Supervised was examined here: there is nothing to compare it with."
    ]
    dice = {("supervised", 0.1): 0.5, ("one_time", 0.1): 0.5, ("one_time", 0.2): 0.5}
    assert headline(make_results(dice))[-1].endswith("Supervised was not examined, so nothing can be said.")
    assert headline(make_results(dice, seeds_of={("supervised", 0.1): (7,)})) == [
        "No method has a seed and label fraction in common with the baseline: nothing can be compared."
    ]


def test_warnings_name_what_makes_figures_weak(make_results: Made) -> None:
    results = make_results({("supervised", 0.1): 0.5, ("one_time", 0.1): 0.5}, seeds=[0], n=10)
    changed = dataclasses.replace(results, failures=[("a", "b")], missing=["c", "d"], notes=["seen in polyps"])
    text = warnings(changed)
    assert "seen in polyps" in text
    assert "1 cell failed and 2 not yet run" in text
    assert "One seed only" in text
    assert "Only 10 gold test images: a mean over so few is uncertain." in text


def test_a_solid_study_has_no_warnings(study: StudyResults) -> None:
    assert warnings(study) == ""


def test_other_seeds_and_unexamined_sets_are_said(make_results: Made) -> None:
    dice = {("supervised", 0.1): 0.5, ("one_time", 0.1): 0.5}
    text = warnings(make_results(dice, seeds_of={("one_time", 0.1): (1, 2, 7)}))
    assert "Mined and Supervised were not run with the same seeds at 10 %" in text
    results = make_results(dice)
    more = pd.concat([results.cells, results.cells.assign(test_set="clinic")])
    assert "Without figures on clinic: 6 finished cells" in warnings(dataclasses.replace(results, cells=more))


def test_efficiency_is_in_words(make_results: Made) -> None:
    dice = {("supervised", 0.1): 0.5, ("supervised", 0.4): 0.7, ("one_time", 0.1): 0.6, ("one_time", 0.4): 0.8}
    results = make_results(dice, noise=0.0)
    assert verdict.efficiency(results, summarise_study(results)) == [
        "10 % gold + Mined equals Supervised at 20 %.",
        "40 % gold + Mined equals Supervised at more than 40 %.",
    ]


@pytest.mark.parametrize(
    ("fraction", "relation", "words"),
    [
        (0.3412, "equal", "34 %"),
        (1.0, "more", "more than 100 %"),
        (0.05, "less", "less than 5 %"),
        (0.02857, "equal", "2.9 %"),
        (float("nan"), "", "\N{EN DASH}"),
    ],
)
def test_equal_fractions_are_not_told_too_exactly(fraction: float, relation: str, words: str) -> None:
    assert verdict.equal_words(pd.Series({"equal_fraction": fraction, "equal_relation": relation})) == words


def test_lists_read_as_sentences() -> None:
    assert [verdict.listed(words) for words in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
