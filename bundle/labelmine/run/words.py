"""Words of the command line that are values: ``--gate false`` reaches a config as text, which Python holds for true."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def literal(value: str) -> str:
    """Keep MONAI from evaluating a text that begins with one of its signs, such as a folder's name.

    Example:
        >>> literal("images"), literal("$HOME/images")
        ('images', "$'$HOME/images'")
    """
    # Within an expression MONAI replaces references wherever they stand, in texts too.
    return "$" + repr(value).replace("@", r"\x40") if value.startswith(("$", "@", "%")) else value


def with_values(config: Any) -> Any:
    """Return a configuration whose words ``true``, ``false`` and ``null``, at any depth, are values.

    YAML itself never gives such a text, unless it is quoted.

    Example:
        >>> with_values({"gate": "false", "teacher": {"multimask": "True", "name": "sam"}})
        {'gate': False, 'teacher': {'multimask': True, 'name': 'sam'}}
    """
    if isinstance(config, dict):
        return {key: with_values(value) for key, value in config.items()}
    if isinstance(config, list):
        return [with_values(value) for value in config]
    if isinstance(config, str) and config.lower() in WORDS:
        return WORDS[config.lower()]
    return config
