"""What a page is made of: sections with text, tables and pictures, in reading order; the templates only lay it out.

A page is data, so that its words and figures can be tested and written as Markdown too (`as_markdown`). Text is plain
text: markup in it is shown, not obeyed, and folders are cut from paths, see `render`.

>>> from labelmine.report import Notes, Page, Section, Table, Text, as_markdown
>>> page = Page(
...     title="Can this image set be mined?",
...     about="Image set polyps.",
...     lead=[Text(["24 images, 20 with a mask."]), Notes(["3 masks are empty."])],
...     sections=[Section("Masks", [Table("Values in masks", ("value", "images"), [("0", "20"), ("255", "17")])])],
... )
>>> print(as_markdown(page).splitlines()[4])
24 images, 20 with a mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup


@dataclass(frozen=True)
class Picture:
    """An embedded picture: its data URL, what it shows for those who cannot see it, and its heading; see `embed`."""

    source: Markup
    alt: str
    title: str = ""


@dataclass(frozen=True)
class Key:
    """One entry of a legend: its meaning and how the outline, if any, is drawn (``dashes`` as in SVG; empty: solid)."""

    label: str
    colour: str = ""
    dashes: str = ""


class Part:
    """Anything that a section can hold; a part with nothing in it leaves no trace on the page."""

    @property
    def kind(self) -> str:
        """Name of the macro in ``parts.html.j2`` that lays it out."""
        return type(self).__name__.lower()


#: Parts in reading order; None, where something is not there to show, is passed over.
Parts = Sequence[Part | None]


@dataclass(frozen=True)
class Text(Part):
    """Paragraphs, or points of a list; ``soft`` is for what explains and qualifies."""

    lines: Sequence[str]
    style: Literal["plain", "soft", "list"] = "plain"


@dataclass(frozen=True)
class Notes(Part):
    """Sentences a reader must see before trusting a figure; ``grave`` ones stop the work rather than qualify it."""

    lines: Sequence[str]
    label: str = "Note"
    grave: bool = False


@dataclass(frozen=True)
class Table(Part):
    """A table; the first cell of each row is its heading, and the column named ``kept`` is marked."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    kept: str | None = None


@dataclass(frozen=True)
class Pairs(Part):
    """Names with one value each; ``words``: values are text to be read, not figures to be compared."""

    caption: str
    rows: Sequence[tuple[str, object]]
    words: bool = False


@dataclass(frozen=True)
class Code(Part):
    """What was typed, or another text whose spacing counts."""

    text: str


@dataclass(frozen=True)
class Fold(Part):
    """Parts that are shown on demand."""

    summary: str
    parts: Parts
    open: bool = False


@dataclass(frozen=True)
class Columns(Part):
    """Parts side by side where the screen is wide enough."""

    parts: Parts


@dataclass(frozen=True)
class Stack(Part):
    """Parts one under the other, as one column of `Columns`."""

    parts: Parts


@dataclass(frozen=True)
class Plot(Part):
    """One picture to be read closely; its title, if any, stands below."""

    picture: Picture


@dataclass(frozen=True)
class CasePictures:
    """One image of `Cases`: why it is shown, and its panels."""

    id: str
    caption: str
    panels: Sequence[Picture]


@dataclass(frozen=True)
class Cases(Part):
    """Images with outlines, a row of panels each; see `case_pictures` and `case_keys`."""

    cases: Sequence[CasePictures]
    keys: Sequence[Key] = ()


@dataclass(frozen=True)
class Sheet(Part):
    """Thumbnails to be run over by eye, each with its title below; see `thumbnails` and `class_keys`."""

    pictures: Sequence[Picture]
    keys: Sequence[Key] = ()


@dataclass(frozen=True)
class Glossary(Part):
    """Terms with their meaning; see `glossary_section`."""

    entries: Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """A card with a heading; left out where no part has anything to show."""

    title: str
    parts: Parts


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page.

    Attributes:
        title: Heading of the page.
        about: What it is about, below the heading; that it is for research use is added on every page.
        lead: The answer, first; the very first paragraph stands out.
        sections: The rest.
        window_title: Title of the browser's window; the heading where empty.
    """

    title: str
    about: str = ""
    lead: Parts = ()
    sections: Sequence[Section] = ()
    window_title: str = ""
