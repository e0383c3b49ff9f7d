"""What a study found, in sentences that claim no more than the figures allow."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from labelmine.evaluation.summary import FEW_IMAGES
from labelmine.evaluation.wording import count, interval_note, known, listed, number, percent, signed
from labelmine.studies.results import CELL, TEST, StudyResults
from labelmine.studies.statistics import Row


def headline(results: StudyResults, table: pd.DataFrame, test_set: str = TEST) -> list[str]:
    """Say on how many label fractions a method beats the baseline, then one paragraph for each fraction.

    Args:
        results: The study.
        table: Rows of `summarise_study`.
        test_set: Which test set to speak about.
    """
    rows = table[table["test_set"] == test_set]
    if not results.has_baseline:
        return [
            f"No student of the method '{results.baseline}' was examined, so this study cannot say whether mining "
            f"helps: the figures show each method alone. Add {results.baseline} to the methods and run the study again."
        ]
    if set(rows["method"]) <= {results.baseline}:
        return [f"Only {results.titles[results.baseline]} was examined here: there is nothing to compare it with."]
    compared = rows[rows["difference"].notna()]
    if compared.empty:
        return ["No method has a seed and label fraction in common with the baseline: nothing can be compared."]
    won = compared[compared["verdict"] == "better"]["fraction"].unique()
    asked = list(compared["fraction"].unique())
    where = f" ({listed(percent(fraction) for fraction in won)} of the gold)" if len(won) else ""
    name = results.titles[results.baseline]
    lead = f"A method beats {name} at {len(won)} of {len(asked)} label fractions{where}."
    return [lead, *(_at_fraction(results, part) for _, part in rows.groupby("fraction"))]


def caveats(results: StudyResults, table: pd.DataFrame) -> list[str]:
    """How far the comparison carries; nothing where nothing is compared."""
    compared = int(table["difference"].notna().sum())
    if not compared:
        return []
    lines = [
        "The intervals say how a figure would move with other test images of the same kind. They do not cover another "
        "draw of gold masks or another training: for that, look at how far the seeds lie apart."
    ]
    if compared > 1:
        lines.append(
            f"{compared} comparisons are shown: even if nothing helped, about one in twenty intervals would leave out "
            "zero by chance, and whatever comes out best on these test images is somewhat flattered."
        )
    return lines


def warnings(results: StudyResults, table: pd.DataFrame) -> list[str]:
    """Sentences that a reader must see first: the study's own, and what the figures call for."""
    lines = list(results.notes)
    if results.failures or results.missing:
        lines.append(
            f"{count(len(results.failures), 'cell')} failed and {len(results.missing)} not yet run (named below): "
            "the figures are of the others."
        )
    if max(len(seeds) for seeds in table["seeds"]) == 1:
        lines.append(
            "One seed only: a single draw of gold masks and a single training. Another seed may turn a result; "
            "run more seeds before relying on it."
        )
    lines += _seed_notes(results, table)
    for test_set in results.test_sets:
        images = int(table.loc[table["test_set"] == test_set, "n_images"].max())
        if images < FEW_IMAGES:
            where = "" if test_set == TEST else f" in {test_set}"
            lines.append(f"Only {count(images, 'gold test image')}{where}: a mean over so few is uncertain.")
    examined = pd.MultiIndex.from_frame(results.images[CELL].drop_duplicates())
    unexamined = results.cells[~pd.MultiIndex.from_frame(results.cells[CELL]).isin(examined)]
    lines += [
        f"Without figures on {name}: {count(len(cells), 'finished cell')}, run before it was part of the study. Remove "
        "their folders and run the study again to have them."
        for name, cells in unexamined.groupby("test_set")
    ]
    return lines


def efficiency(results: StudyResults, table: pd.DataFrame, test_set: str = TEST) -> list[str]:
    """Say for each label fraction which method saves most masks: ``10 % gold + Mined equals supervised at 34 %``."""
    rows = table[(table["test_set"] == test_set) & (table["equal_relation"] != "")]
    best = rows.sort_values("dice", ascending=False, kind="stable").drop_duplicates("fraction").sort_values("fraction")
    return [
        f"{percent(row['fraction'])} gold + {row['title']} equals {results.titles[results.baseline]} at "
        f"{equal_words(row)}{_unsure(row)}."
        for _, row in best.iterrows()
    ]


def equal_words(row: Row) -> str:
    """``34 %``, ``more than 100 %``, ``less than 5 %``: where on the baseline's curve a row lies; nothing: a dash."""
    fraction, relation = float(row["equal_fraction"]), row["equal_relation"]
    if not relation:
        return number(None)
    # An interpolated figure is not known to a tenth of a per cent, an end of the curve is exact.
    if relation == "equal":
        return f"{100 * fraction:.0f} %" if fraction >= 0.1 else f"{100 * fraction:.2g} %"
    return f"{relation} than {percent(fraction)}"


def masks(row: Row) -> str:
    """``22 + 5``: gold masks that train and that validate, mean over seeds; a dash where not known."""
    values = [float(row[name]) for name in ("n_gold", "n_gold_val")]
    return " + ".join(f"{value:.3g}" for value in values) if all(map(known, values)) else number(None)


def _at_fraction(results: StudyResults, rows: pd.DataFrame) -> str:
    first, name = rows.iloc[0], results.titles[results.baseline]
    start = f"With {percent(first['fraction'])} of the gold"
    if known(first["n_gold"]) and known(first["n_gold_val"]):
        start += f" ({first['n_gold']:.3g} masks to train, {first['n_gold_val']:.3g} to validate)"
    if first["method"] != results.baseline:
        return f"{start}: {name} was not examined, so nothing can be said."
    others = rows[rows["difference"].notna()].sort_values("difference", ascending=False, kind="stable")
    if others.empty:
        left = " No image is left to mine there." if first["n_unlabeled"] == 0 else ""
        return f"{start}: {name} alone, mean Dice {number(first['dice'])}.{left}"
    better, worse, unsure = (others[others["verdict"] == word] for word in ("better", "worse", "unsure"))
    best = (better if len(better) else unsure if len(unsure) else worse).iloc[0]
    if len(better):
        text = f"{start}, {best['title']} beats {name} by {number(best['difference'])} Dice{_detail(best)}."
        better = better.iloc[1:]
    elif len(unsure):
        several = "no method" if len(others) > 1 else best["title"]
        verb = "can be told apart" if len(others) > 1 else "cannot be told apart"
        text = f"{start}, {several} {verb} from {name} for the better: "
        text += f"{best['title']} changes Dice by {signed(best['difference'])}{_detail(best)}."
        unsure = unsure[unsure["method"] != best["method"]]
    else:
        text = f"{start}, {'every method is' if len(worse) > 1 else best['title'] + ' is'} worse than {name}: "
        text += f"{best['title']} changes Dice by {signed(best['difference'])}{_detail(best)}."
        worse = worse.iloc[1:]
    for words, part in (("Also better", better), ("Not told apart", unsure), ("Worse", worse)):
        if len(part):
            text += f" {words}: " + "; ".join(
                f"{row['title']} {signed(row['difference'])}" for _, row in part.iterrows()
            )
            text += "."
    return text


def _detail(row: Row) -> str:
    """The interval, and whether the seeds agree."""
    differences: Sequence[float] = row["seed_differences"]
    ends: list[float | None] = [row["difference_low"], row["difference_high"]]
    agree = sum(value > 0 for value in differences)
    seeds = "one seed" if len(differences) == 1 else f"higher in {agree} of {len(differences)} seeds"
    if row["intervals_apart"] and row["verdict"] == "unsure":
        seeds += ", which disagree"
    return (interval_note(ends, signed)[:-1] or " (no interval") + f"; {seeds})"


def _unsure(row: Row) -> str:
    return "" if row["verdict"] != "unsure" else ", yet it cannot be told apart from it at the same masks"


def _seed_notes(results: StudyResults, table: pd.DataFrame) -> list[str]:
    """Name the methods that do not share all seeds with the baseline."""
    if not results.has_baseline:
        return []
    is_baseline = table["method"] == results.baseline
    place = ["test_set", "fraction"]
    theirs = table[is_baseline].set_index(place)["seeds"].rename("baseline_seeds")
    rows = table[~is_baseline].join(theirs, on=place, how="inner")
    lines = []
    for title, part in rows.groupby("title", sort=False):
        odd = part[[a != b for a, b in zip(part["seeds"], part["baseline_seeds"], strict=True)]]
        if odd.empty:
            continue
        where = listed(percent(fraction) for fraction in odd["fraction"].unique())
        lines.append(
            f"{title} and {results.titles[results.baseline]} were not run with the same seeds at {where}: differences "
            "are over the seeds that both have, and none is given where they share no seed."
        )
    return lines
