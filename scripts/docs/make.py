"""Make what in README, docs/ and models/ is derived: reference pages, tables, figures, code of examples.

    uv run python scripts/docs/make.py            # write
    uv run python scripts/docs/make.py --check    # exit status 1 and its name, where a file is stale

A page is made whole (`reference.pages`), or a part of it between ``<!-- made: MAKER WORDS -->`` and ``<!-- end -->``.
What is made stands in the files, so that pages read the same as plain Markdown, in a wheel, and on the site.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mdformat

import cards
import figures
import reference
import tables

REPOSITORY = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- made: (?P<maker>\w+) ?(?P<words>[^>]*?) -->\n.*?<!-- end -->", re.DOTALL)
SECTION = re.compile(r"# --- (\w+)\n")
NOQA = re.compile(r"  # noqa.*")
FORMAT = {"wrap": 100, "number": True, "compact_tables": True}  # as .mdformat.toml has it
EXTENSIONS = {"gfm", "frontmatter"}


def code(name: str, section: str = "") -> str:
    """Return a file's text as a fenced block; of a section, from its line ``# --- section`` to the next one."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    if section:
        parts = SECTION.split(text)
        text = dict(zip(parts[1::2], parts[2::2], strict=True))[section]
    text = NOQA.sub("", text)
    language = {".py": "python", ".sh": "bash", ".yaml": "yaml"}[Path(name).suffix]
    return f"```{language}\n{text.strip()}\n```"


def part(name: str, heading: str) -> str:
    """Return what stands below a heading of another page, up to the next heading."""
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {heading.replace('_', ' ')}\n")
    return rest.split("\n## ")[0].strip()


MAKERS: dict[str, Callable[..., str]] = {
    "code": code,
    "part": part,
    "outputs": reference.run_files,
    **tables.MAKERS,
    **cards.MAKERS,
}


def filled(text: str) -> str:
    """Return a page with its made parts made anew."""

    def made(found: re.Match[str]) -> str:
        content = MAKERS[found["maker"]](*found["words"].split())
        return f"<!-- made: {found['maker']} {found['words']} -->\n\n{content}\n\n<!-- end -->".replace("  -->", " -->")

    return BLOCK.sub(made, text)


def expected() -> Iterator[tuple[Path, str]]:
    """Yield each file that is made or has made parts, with the text that it should have."""
    whole = {REPOSITORY / name: text for name, text in reference.pages().items()}
    parts = [REPOSITORY / "README.md", *(REPOSITORY / "models").glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    for path in sorted({*whole, *parts}):
        text = whole[path] if path in whole else filled(path.read_text(encoding="utf-8"))
        if path in whole or "<!-- made: " in text:
            yield path, mdformat.text(text, options=FORMAT, extensions=EXTENSIONS)


def main() -> None:
    """Write the files, or say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 where a file is stale")
    check = parser.parse_args().check
    stale = [(path, text) for path, text in expected() if not path.is_file() or path.read_text("utf-8") != text]
    for path, text in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(path.relative_to(REPOSITORY))
    old = list(figures.stale())
    for path, name in old:
        if not check:
            path.write_bytes(figures.drawn(name))
        print(path.relative_to(REPOSITORY))
    if check and (stale or old):
        sys.exit("stale: run `uv run python scripts/docs/make.py`")


if __name__ == "__main__":
    main()
