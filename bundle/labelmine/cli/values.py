"""What a user writes after an option, as a value: YAML, less its traps."""

from __future__ import annotations

import re
from typing import Any

import yaml

from labelmine.run.declared import DeclaredKnob

#: Names of knobs whose values are names of files, images and the like: a folder called 2024 is no number.
_TEXT_NAME = re.compile(r"(^|_)(dirs?|file|weights|uri|ids)$")
#: What the comment of such a knob says, where its name does not.
_TEXT_HELP = re.compile(r"\bfolder\b|\bCSV\b|\bpath\b|\.safetensors\b")
_NULL = frozenset({"null", "~", "None"})
_EXPRESSION = ("$", "@", "%")


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core types: ``1e-4`` is a number; dates, ``010``, ``1:30``, ``yes`` and ``off`` are text."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (PyYAML's own way)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
    ("null", r"null|Null|NULL|None|~|", [*"nN~", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def value_of(text: str, knob: DeclaredKnob | None = None) -> Any:
    """Read what was written for a knob; without one, as YAML alone.

    Expressions of MONAI's (``$...``, ``@...``) stay text, as do values of knobs that name files or have a text as
    their default. A knob that is a list takes a single value for a list of one.

    Raises:
        ValueError: No value that this knob can have; says what was expected and how to write it.

    Example:
        >>> value_of("1e-4"), value_of("[0, 1]"), value_of("010"), value_of("null")
        (0.0001, [0, 1], '010', None)
        >>> value_of("2024", DeclaredKnob("dataset_dir", None))
        '2024'
    """
    if not text.strip():
        raise ValueError("expected a value, got an empty text; write null for none")
    if text.startswith(_EXPRESSION):
        return text
    if knob is not None and text not in _NULL and is_text(knob):
        return _listed(_parsed(text, yaml.BaseLoader)) if _is_list(knob) else text
    value = _parsed(text, _Loader)
    return value if knob is None or value is None else _checked(value, text, knob)


def is_text(knob: DeclaredKnob) -> bool:
    """Whether what is written for a knob is a text, and no number, whatever it looks like."""
    named = _TEXT_NAME.search(knob.name) is not None and not isinstance(knob.default, int | float | dict)
    described = knob.default is None and _TEXT_HELP.search(knob.help) is not None
    return named or described or (isinstance(knob.default, str) and not knob.is_expression)


def _is_list(knob: DeclaredKnob) -> bool:
    return isinstance(knob.default, list) or knob.name == "ids"


def _parsed(text: str, loader: type[yaml.SafeLoader] | type[yaml.BaseLoader]) -> Any:
    try:
        value = yaml.load(text, loader)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ValueError(f"cannot read {text!r} ({problem}); put lists and mappings in quotes: '[0, 1]'") from error
    if isinstance(value, dict) and any(item is None and ":" in str(key) for key, item in value.items()):
        raise ValueError(f"expected a space after each colon, '{{name: 1}}', got {text!r}")
    return value


def _checked(value: Any, text: str, knob: DeclaredKnob) -> Any:
    if isinstance(knob.default, bool) and not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {text!r}")
    number = isinstance(knob.default, int | float) and not isinstance(knob.default, bool)
    if number and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"expected a number, got {text!r}")
    if isinstance(knob.default, dict) and not isinstance(value, dict):
        raise ValueError(f"expected a mapping such as '{{name: 1}}', got {text!r}")
    return _listed(value) if _is_list(knob) else value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
