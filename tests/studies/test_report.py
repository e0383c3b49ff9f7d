from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelmine.evaluation import Case
from labelmine.studies import StudyResults, figures, summarise_study, write_study

Made = Callable[..., StudyResults]
VOID = {"meta", "img", "br", "path"}


class Outline(HTMLParser):
    """Checks that tags close in order; gathers pictures and headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.headings: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"h1", "h2"}:
            self.headings.append(data.strip())


def page_of(results: StudyResults, folder: Path) -> tuple[str, Outline]:
    html = write_study(results, folder).read_text(encoding="utf-8")
    return html, Outline(html)


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
        notes=["The teacher has seen 3 images."],
    )
    folder = tmp_path_factory.mktemp("study")
    write_study(results, folder)
    return folder


def test_the_page_is_one_file_that_needs_nothing(full: Path) -> None:
    html = (full / "index.html").read_text(encoding="utf-8")
    page = Outline(html)
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe"}
    assert not re.search(r"https?://|url\(|@import", html)
    assert all(str(image["src"]).startswith("data:image/") for image in page.images)
    assert sorted(path.name for path in full.iterdir()) == ["index.html", "results.csv", "results.md"]


def test_the_page_answers_first_and_tells_all(full: Path) -> None:
    html = (full / "index.html").read_text(encoding="utf-8")
    assert Outline(html).headings == [
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
    assert first < html.index("The teacher has seen 3 images.") < html.index("Dice on gold test images")
    for words in ("one_time, 0.75, seed 1", "one_time, 0.75, seed 2", "abc123-dirty", "an empty answer counts 1"):
        assert words in html


def test_folders_are_cut_and_text_is_escaped(full: Path) -> None:
    for name in ("index.html", "results.md"):
        assert "ward3" not in (full / name).read_text(encoding="utf-8")
    assert "a.png cannot be &lt;read&gt;" in (full / "index.html").read_text(encoding="utf-8")


def test_pictures_are_told_in_words_and_numbers(full: Path) -> None:
    page = Outline((full / "index.html").read_text(encoding="utf-8"))
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
    assert "- A method beats Supervised at 1 of 2 label fractions (10 % of the gold).\n" in text
    assert "## On another set: clinic" in text
    assert "- one_time, 0.75, seed 2: not run yet\n" in text
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    assert tables
    assert all(len({line.count("|") for line in rows}) == 1 for rows in tables)


def test_the_same_study_gives_the_same_bytes(study: StudyResults, tmp_path: Path) -> None:
    one, two = write_study(study, tmp_path / "a"), write_study(study, tmp_path / "b")
    assert one.read_bytes() == two.read_bytes()


def test_small_studies_have_whole_pages(make_results: Made, tmp_path: Path) -> None:
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
        html, page = page_of(results, tmp_path / str(index))
        assert page.open == []
        assert len(page.images) == 1
        assert "nan" not in re.sub(r"base64,[^\"]*", "", html).lower()


def test_costs_that_were_not_noted_are_dashes(study: StudyResults, tmp_path: Path) -> None:
    bare = study.cells[["method", "title", "fraction", "seed", "test_set"]]
    html, _ = page_of(dataclasses.replace(study, cells=bare), tmp_path)
    assert "With 10 % of the gold, Mined beats Supervised" in html


def test_every_method_has_a_line_style_of_its_own() -> None:
    styles = figures.styles_of(["supervised", *"abcdefg"], "supervised")
    assert len({str(line) for _, line, _ in styles.values()}) == len({marker for *_, marker in styles.values()}) == 8


def test_figures_keep_their_width(study: StudyResults) -> None:
    table = summarise_study(study)
    styles = figures.styles_of(list(study.titles), "supervised")
    by_fraction = figures.dice_by_fraction(table, styles, "title", bands=["supervised"])
    by_method = figures.dice_by_method(table[table["fraction"] == 0.1], styles, "title")
    sizes = [Image.open(io.BytesIO(image)).size for image in (by_fraction, by_method)]
    assert {width for width, _ in sizes} == {840}
