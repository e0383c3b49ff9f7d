from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import labelmine.report as report
from labelmine.report import (
    CasePictures,
    Cases,
    Code,
    Columns,
    Fold,
    Glossary,
    Key,
    Notes,
    Page,
    Pairs,
    Part,
    Plot,
    Section,
    Sheet,
    Stack,
    Table,
    Text,
    as_markdown,
    embed,
    glossary_section,
    render,
    write_page,
)

Reader = Callable[[str], Any]
EVIL = "<script>alert('x')</script>&"
SECRET = "/home/maria/ward3/polyps.png"


def every_part(text: str) -> list[Part]:
    """One of each kind, with the same text wherever there is one."""
    picture = embed(b"bytes", "png", text, text)
    return [
        Text([text]),
        Text([text], "soft"),
        Text([text], "list"),
        Notes([text], label=text, grave=True),
        Table(text, ("", text), [(text, text)], kept=text),
        Pairs(text, [(text, text)], words=True),
        Code(text),
        Fold(text, [Text([text])], open=True),
        Columns([Text([text])]),
        Stack([Text([text])]),
        Plot(picture),
        Cases([CasePictures(text, text, [picture])], [Key(text, "#fff", "3 3")]),
        Sheet([picture], [Key(text)]),
        Glossary({text: text}),
    ]


def page_of(parts: list[Part | None], text: str = "words") -> Page:
    return Page(title=text, about=text, lead=[Text([text])], sections=[Section(text, parts)], window_title=text)


def test_every_kind_of_part_is_laid_out(outline: Reader) -> None:
    kinds = {type(part) for part in every_part("words")}
    assert kinds == set(Part.__subclasses__())
    for part in every_part("some words"):
        page = outline(render(page_of([part], "title")))
        page.assert_self_contained()
        assert page.text.count("some words") >= 1, part


def test_text_is_escaped_everywhere(outline: Reader) -> None:
    page = outline(render(page_of(every_part(EVIL), EVIL)))
    page.assert_self_contained()
    assert "alert('x')" not in page.text
    assert page.text.count("&lt;script&gt;") > 25


def test_folders_are_cut_everywhere(outline: Reader) -> None:
    page = page_of(every_part(SECRET), SECRET)
    for text in (outline(render(page)).text, as_markdown(page)):
        assert "polyps.png" in text
        assert not any(private in text for private in ("maria", "ward3", "/home"))


def test_pictures_are_not_taken_for_paths(outline: Reader) -> None:
    data = b"\xff\xd8" * 30  # its text begins with /9j/ and is full of slashes
    picture = embed(data, "png", "a picture")
    assert "/9j/" in picture.source
    assert outline(render(page_of([Plot(picture)]))).images == [{"src": str(picture.source), "alt": "a picture"}]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [None],
        [Text([]), Text([], "list"), Notes([])],
        [Table("caption", ("a",), []), Pairs("caption", []), Code(""), Cases([]), Sheet([], [Key("k")]), Glossary({})],
        [Fold("summary", [Columns([None, Stack([Text([])])])])],
    ],
    ids=["no part", "none", "no lines", "no rows", "nested"],
)
def test_a_section_with_nothing_to_show_is_left_out(parts: list[Part | None], outline: Reader) -> None:
    page = Page(title="Title", sections=[Section("Empty", parts), Section("Full", [Text(["words"])])])
    assert outline(render(page)).headings == ["Title", "Full"]
    assert outline(render(page)).text.count("<section") == 1
    assert as_markdown(page) == "# Title\n\n## Full\n\nwords\n"


def test_the_kept_column_is_marked_once() -> None:
    html = render(page_of([Table("caption", ("", "a", "b"), [("r", "1", "2")], kept="b")]))
    assert html.count(">kept<") == 1
    assert 'b <span class="kept">' in html


def test_grave_notes_differ_and_have_their_label() -> None:
    html = render(page_of([Notes(["x"], label="Problem", grave=True), Notes(["y"])]))
    assert '<p class="note grave"><strong>Problem:</strong> x</p>' in html
    assert '<p class="note"><strong>Note:</strong> y</p>' in html


def test_every_page_says_what_it_is_not_for() -> None:
    assert "Research use; not a medical device." in render(Page(title="Title"))


def test_a_page_is_written_whole_over_an_older_one(tmp_path: Path) -> None:
    target = tmp_path / "report" / "index.html"
    write_page(Page(title="old"), target)
    assert write_page(Page(title="new"), target) == target
    assert target.read_text(encoding="utf-8") == render(Page(title="new"))
    assert [path.name for path in target.parent.iterdir()] == ["index.html"]


def test_each_term_is_explained_once_and_an_unknown_one_is_an_error() -> None:
    (part,) = glossary_section("gold", "dice").parts
    assert isinstance(part, Glossary)
    assert list(part.entries) == ["Gold", "Dice"]
    with pytest.raises(KeyError, match="dyce"):
        glossary_section("dyce")


def test_naming_the_room_imports_nothing_that_measures_or_draws() -> None:
    code = "import sys, labelmine.report; print(sorted({'torch', 'monai', 'matplotlib', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_public_names_are_there_and_others_are_not() -> None:
    assert all(hasattr(report, name) for name in report.__all__)
    with pytest.raises(AttributeError, match=r"has no attribute 'write_reports'; it has .*write_report,"):
        report.write_reports  # noqa: B018
