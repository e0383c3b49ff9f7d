"""The words and tables of a page as Markdown, for those who read in a terminal or a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from labelmine.report.page import Code, Columns, Fold, Notes, Page, Pairs, Part, Parts, Section, Stack, Table, Text
from labelmine.report.redaction import without_folders


def as_markdown(page: Page) -> str:
    """Lay a page out as GitHub reads it, without pictures and glossary; folders are cut from paths."""
    about = [Text([page.about], "soft")] if page.about else []
    blocks = [f"# {page.title}\n", *_blocks([*about, *page.lead]), *(_section(section) for section in page.sections)]
    lines = "\n".join(block for block in blocks if block).splitlines()
    return "\n".join(map(without_folders, lines)) + "\n"


def _section(section: Section) -> str:
    blocks = _blocks(section.parts)
    return "\n".join([f"## {section.title}\n", *blocks]) if blocks else ""


def _blocks(parts: Parts) -> list[str]:
    """Lay out the parts that have words; each block ends in a line break."""
    return [block for part in parts if part and (block := _block(part))]


def _block(part: Part) -> str:
    match part:
        case Text(lines, style):
            return _bullets(lines) if style == "list" else "\n".join(f"{line}\n" for line in lines)
        case Notes(lines, label):
            return "\n".join(f"> **{label}:** {line}\n" for line in lines)
        case Table(caption, header, rows) if rows:
            return _table(caption, [header, ("---", *["---:"] * (len(header) - 1)), *rows])
        case Pairs(caption, rows) if rows:
            return f"**{caption}**\n\n" + _bullets(f"{name}: {value}" for name, value in rows)
        case Code(text) if text:
            return f"```\n{text}\n```\n"
        case Fold(_, parts) | Columns(parts) | Stack(parts):
            return "\n".join(_blocks(parts))
    return ""


def _table(caption: str, rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{caption}**", "", *lines, ""])


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
