from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelmine.evaluation import Case
from labelmine.report import write_study
from labelmine.studies import StudyResults

Made = Callable[..., StudyResults]
Reader = Callable[[str], Any]


@pytest.fixture(scope="module")
def full(make_results: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything, written once."""
    dice = {("supervised", 0.1): 0.5, ("supervised", 0.5): 0.6, ("supervised", 1.0): 0.7}
    dice |= {("one_time", 0.1): 0.58, ("one_time", 0.5): 0.6, ("mean_teacher", 0.1): 0.4}
    gold = np.zeros((1, 20, 20), dtype=bool)
    gold[0, 5:12, 5:12] = True
    case = Case(id="i03", image=np.full((20, 20, 3), 0.4), gold=gold, predictions={"Mined": gold}, dice={"Mined": 1.0})
    results = make_results(
        dice,
        test_sets=["test", "clinic"],
        cases=[case],
        failures=[("one_time, 0.75, seed 1", "DataError: /home/maria/ward3/a.png cannot be <read>")],
        missing=["one_time, 0.75, seed 2"],
        commands=["run --dataset_dir=/home/maria/ward3/polyps"],
        environment={"torch": "2.8.0", "git revision": "abc123-dirty"},
        notes=["The teacher has seen 3 images of /home/maria/ward3/polyps."],
    )
    folder = tmp_path_factory.mktemp("study")
    write_study(results, folder)
    return folder


def test_the_page_is_one_file_that_needs_nothing(full: Path, outline: Reader) -> None:
    outline((full / "index.html").read_text(encoding="utf-8")).assert_self_contained()
    assert sorted(path.name for path in full.iterdir()) == ["index.html", "results.csv", "results.md"]


def test_the_page_answers_first_and_tells_all(full: Path, outline: Reader) -> None:
    html = (full / "index.html").read_text(encoding="utf-8")
    assert outline(html).headings == [
        "Does mining help on polyps with these few masks?",
        "Dice on gold test images",
        "How many masks it saves",
        "On another set: clinic",
        "What it costs",
        "Test cases",
        "Cells without figures",
        "How it was made",
        "Words on this page",
    ]
    first = html.index("A method beats Supervised at 1 of 2 label fractions")
    assert first < html.index("The teacher has seen 3 images of polyps.") < html.index("Dice on gold test images")
    for words in ("one_time, 0.75, seed 1", "one_time, 0.75, seed 2", "abc123-dirty", "an empty answer counts 1"):
        assert words in html


def test_folders_are_cut_and_text_is_escaped(full: Path) -> None:
    for name in ("index.html", "results.md"):
        assert "ward3" not in (full / name).read_text(encoding="utf-8")
    assert "a.png cannot be &lt;read&gt;" in (full / "index.html").read_text(encoding="utf-8")


def test_pictures_are_told_in_words_and_numbers(full: Path, outline: Reader) -> None:
    page = outline((full / "index.html").read_text(encoding="utf-8"))
    texts = [str(image["alt"]) for image in page.images]
    assert all(texts)
    # All methods, then each beside the baseline, for both test sets; then the case's two panels.
    assert len(texts) == 2 * 3 + 2
    assert re.match(r"Dice by part of the gold used\. Mean Dice .* Supervised: 10 % 0\.\d{3}, 50 % 0\.\d{3}", texts[0])
    pattern = r"Mined against Supervised\. .*Mined: 10 % 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\), 50 %"
    assert re.match(pattern, texts[1])
    assert ", clinic." in texts[3]


def test_the_table_is_tidy(full: Path) -> None:
    table = pd.read_csv(full / "results.csv")
    assert not table.duplicated(["method", "fraction", "test_set"]).any()
    assert len(table) == 12
    row = table[(table["method"] == "one_time") & (table["fraction"] == 0.1)].iloc[0]
    assert row["seeds"] == "0 1 2"
    assert len(row["seed_differences"].split()) == 3
    assert row["difference"] == pytest.approx(np.mean([float(v) for v in row["seed_differences"].split()]), abs=1e-5)


def test_markdown_says_the_same(full: Path) -> None:
    text = (full / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# Does mining help on polyps with these few masks?\n")
    assert "\nA method beats Supervised at 1 of 2 label fractions (10 % of the gold).\n\n- With 10 %" in text
    assert "## On another set: clinic" in text
    assert "- one_time, 0.75, seed 2: not run yet\n" in text
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    assert tables
    assert all(len({line.count("|") for line in rows}) == 1 for rows in tables)


def test_the_same_study_gives_the_same_bytes(study: StudyResults, tmp_path: Path) -> None:
    one, two = write_study(study, tmp_path / "a"), write_study(study, tmp_path / "b")
    assert one.read_bytes() == two.read_bytes()


def test_small_studies_have_whole_pages(make_results: Made, tmp_path: Path, outline: Reader) -> None:
    """One seed, one fraction, one method, no baseline, an external set alone."""
    pair = {("supervised", 0.1): 0.5, ("one_time", 0.1): 0.6}
    for index, results in enumerate(
        [
            make_results(pair, seeds=[0]),
            make_results({("one_time", 0.1): 0.6}),
            make_results({("supervised", 0.1): 0.5, ("supervised", 0.5): 0.6}),
            make_results(pair, test_sets=["clinic"]),
        ]
    ):
        page = outline(write_study(results, tmp_path / str(index)).read_text(encoding="utf-8"))
        assert page.open == []
        assert len(page.images) == 1
        assert not re.search(r"\bnan\b", page.text)


def test_costs_that_were_not_noted_are_dashes(study: StudyResults, tmp_path: Path) -> None:
    bare = study.cells[["method", "title", "fraction", "seed", "test_set"]]
    html = write_study(dataclasses.replace(study, cells=bare), tmp_path).read_text(encoding="utf-8")
    assert "With 10 % of the gold, Mined beats Supervised" in html
