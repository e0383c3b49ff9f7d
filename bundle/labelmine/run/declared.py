"""Knobs of a config file as they stand in it: name, default and the comment that explains them.

Read as text, without torch or MONAI, so that the command line knows its options at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from labelmine.errors import ConfigError

#: In each config the knobs stand first; the first of these keys, or a comment line ``# --- seams``, ends them.
SECTIONS = frozenset({"imports", "initialize", "run", "finalize"})

_KEY = re.compile(r"\+?(\w[\w-]*)\s*:(?!:)")
_TITLE = re.compile(r"# --- (?:knobs:? ?)?(.*?)\s*-*$")


@dataclass(frozen=True)
class DeclaredKnob:
    """A knob of a config file.

    Attributes:
        name: Top-level key.
        default: Value that YAML gives; an expression of MONAI's stays its text, ``$...`` or ``@...``.
        help: The comment on its line, or the comment lines beneath or above; may be empty.
        section: Title of the section that it stands in; empty before the first.
    """

    name: str
    default: Any
    help: str = ""
    section: str = ""

    @property
    def is_expression(self) -> bool:
        """Whether MONAI computes the default."""
        return isinstance(self.default, str) and self.default[:1] in {"$", "@", "%"}


def declared_knobs(path: str | Path) -> list[DeclaredKnob]:
    """Read the knobs of a config file, in its order.

    They end where seams and wiring begin (`SECTIONS`); keys that merge (``+key``), reach inside (``a::b``) or build an
    object (``_target_``) are no knobs.

    Args:
        path: A YAML or JSON config.

    Raises:
        ConfigError: The file cannot be read, or is no mapping in YAML.
    """
    lines = _read(path).splitlines()
    head = lines[: _end_of_knobs(lines)]
    loader = yaml.SafeLoader("\n".join(head))
    try:
        root = loader.get_single_node()
        if root is not None and not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"expected a mapping of keys to values in {path}, got {root.tag.rpartition(':')[2]}")
        pairs = [(key, value) for key, value in (root.value if root else []) if _is_knob(key, value)]
        return list(_with_comments(head, [_Entry.of_nodes(loader, *pair) for pair in pairs]))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def top_level_keys(path: str | Path) -> set[str]:
    """Return all keys at a config file's top level, those that merge (``+key``) without their sign.

    Raises:
        ConfigError: The file cannot be read.
    """
    return {found[1] for line in _read(path).splitlines() if (found := _KEY.match(line))}


def opening_comment(path: str | Path) -> list[str]:
    """Return the paragraphs of the comment that a config file begins with, without commands and what announces them.

    Raises:
        ConfigError: The file cannot be read.
    """
    paragraphs: list[list[str]] = [[]]
    for line in _read(path).splitlines():
        if not line.startswith("#"):
            break
        text = line[1:].removeprefix(" ").rstrip()
        if text:
            paragraphs[-1].append(text)
        else:
            paragraphs.append([])
    prose = (" ".join(line for line in lines if not line.startswith((" ", "..."))) for lines in paragraphs)
    return [text for text in prose if text and not text.endswith(":")]


@dataclass
class _Entry:
    """A key with its value, and the lines (from 0) that it takes."""

    name: str
    default: Any
    first: int
    last: int
    rest: tuple[int, int]  # line and column where its own comment may begin
    help: list[str] = field(default_factory=list)

    @classmethod
    def of_nodes(cls, loader: yaml.SafeLoader, key: yaml.ScalarNode, value: yaml.Node) -> _Entry:
        default = loader.construct_object(value, deep=True)
        if isinstance(value, yaml.CollectionNode) and not value.flow_style:  # a block ends where the next key begins
            return cls(key.value, default, key.start_mark.line, -1, (key.end_mark.line, key.end_mark.column))
        end = value.end_mark
        return cls(key.value, default, key.start_mark.line, end.line, (end.line, end.column))


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a config file, cannot read {path}: {error}") from error


def _end_of_knobs(lines: list[str]) -> int:
    for number, line in enumerate(lines):
        key = _KEY.match(line)
        if line.startswith("# --- seams") or (key and key[1] in SECTIONS):
            return number
    return len(lines)


def _is_knob(key: yaml.Node, value: yaml.Node) -> bool:
    if not isinstance(key, yaml.ScalarNode) or key.value.startswith("+") or "::" in key.value:
        return False
    built = isinstance(value, yaml.MappingNode) and any(name.value == "_target_" for name, _ in value.value)
    return not built


def _with_comments(lines: list[str], entries: list[_Entry]) -> Iterator[DeclaredKnob]:
    """Give each comment to the knob that it explains."""
    for entry in entries:
        line, column = entry.rest
        entry.help += re.findall(r"^\s*:?\s*#\s*(.*?)\s*$", lines[line][column:])
    for block in _comment_blocks(lines):
        if block[0] == 0:
            continue  # what the file says of itself
        above = next((entry for entry in entries if entry.last == block[0] - 1), None)
        below = next((entry for entry in entries if entry.first == block[-1] + 1), None)
        words = [lines[number].removeprefix("#").strip() for number in block]
        if above is not None and (not above.help or words[0].startswith(f"{above.name}: ")):
            above.help += [words[0].removeprefix(f"{above.name}: "), *words[1:]]
        elif below is not None:
            below.help[:0] = words
    for entry in entries:
        titles = [found[1] or "knobs" for line in lines[: entry.first] if (found := _TITLE.match(line))]
        yield DeclaredKnob(entry.name, entry.default, " ".join(entry.help), titles[-1] if titles else "")


def _comment_blocks(lines: list[str]) -> Iterator[list[int]]:
    """Yield the numbers of the lines of each block of comment lines, which a section's title ends."""
    block: list[int] = []
    for number, line in enumerate([*lines, ""]):
        if line.startswith("#") and not _TITLE.match(line):
            block.append(number)
        elif block:
            yield block
            block = []
