"""From a page to one self-contained HTML file: no network, no script, no folder names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from labelmine.atomic import write_whole
from labelmine.report.page import Page
from labelmine.report.redaction import without_folders


def render(page: Page) -> str:
    """Lay a page out as HTML.

    Every text is escaped, whatever it came from, and folders are cut from the paths in it.
    """
    return _environment().get_template("page.html.j2").render(page=page)


def write_page(page: Page, target: Path) -> Path:
    """Write a page as one HTML file; an earlier one is replaced once the new one is whole.

    Returns:
        ``target``.
    """
    write_whole(target, render(page).encode("utf-8"))
    return target


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_redacted,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _redacted(value: Any) -> Any:
    """Cut folders from text; markup is a part laid out already, or an embedded picture."""
    return value if isinstance(value, Markup) else without_folders(value)
