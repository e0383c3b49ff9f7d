"""What tests of pages share."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

VOID = {"meta", "img", "br", "path"}


class Outline(HTMLParser):
    """Checks that tags close in order and gathers what tests ask for.

    Attributes:
        open: Tags that were not closed.
        tags: Every tag of the page.
        images: Attributes of every picture.
        addresses: What attributes point to.
        headings: Texts of h1 and h2.
        text: The page without the pictures' bytes, in which any letters may stand.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.text = re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,", html)
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
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

    def assert_self_contained(self) -> None:
        """Nothing is fetched, nothing runs, and every picture is told to those who cannot see it."""
        assert not self.open
        assert not self.tags & {"script", "link", "iframe", "object", "embed", "base"}
        assert not re.search(r"https?://|url\(|@import|srcset|\son[a-z]+=", self.text)
        assert all(address.startswith("data:image/") for address in self.addresses)
        assert all(image["alt"] for image in self.images)


@pytest.fixture(scope="session")
def outline() -> type[Outline]:
    """Reader of a page: ``outline(html)``."""
    return Outline
