"""All that is wrong with a configuration, told at once, before images are read or anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from monai.bundle import ConfigExpression, ConfigItem, ConfigParser
from monai.bundle.config_item import ConfigComponent

from labelmine.errors import ConfigError, LabelmineError
from labelmine.run.config import resolved
from labelmine.run.last_word import labelmine_cause

#: Where a config says what is built before it runs.
ROOT = "initialize"


def refuse_together(parser: ConfigParser) -> None:
    """Build all that ``initialize`` asks for and that knobs alone decide; refuse the configuration once, for all.

    Knobs say what they take by their types, and teachers, labelers' parts and augmentations by their constructors:
    nothing is said here again. What asks an object (``$@task.exclusive``) may read images, and waits for its turn.

    Args:
        parser: Of the running config, parsed.

    Raises:
        LabelmineError: The only error, as it is; several as one ``ConfigError``.
    """
    failed: dict[str, LabelmineError] = {}
    for name in _decided_by_knobs(parser):
        if failed.keys() & _below(parser, name):
            continue  # for the reason that is known already
        try:
            resolved(parser, name)
        except Exception as error:
            cause = labelmine_cause(error)
            if cause is None:
                raise
            failed[name] = cause
    errors = list(failed.values())
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigError("; ".join(map(str, errors)))


def _decided_by_knobs(parser: ConfigParser) -> Iterator[str]:
    """Yield the components below ``initialize`` that can be built without any object being asked; parts come first."""
    for name in _below(parser, ROOT):
        own = name.partition("::")[0] == ROOT  # its elements run one after another, each in its turn
        if not own and isinstance(_item(parser, name), ConfigComponent) and _asks_nothing(parser, name):
            yield name


def _asks_nothing(parser: ConfigParser, name: str) -> bool:
    """Whether no expression in or below an item works on something that is built."""
    return not any(
        isinstance(_item(parser, other), ConfigExpression)
        and any(isinstance(_item(parser, part), ConfigComponent) for part in _below(parser, other))
        for other in [name, *_below(parser, name)]
    )


def _below(parser: ConfigParser, name: str) -> dict[str, None]:
    """Return what an item refers to, at any depth, parts before what they are part of."""
    found: dict[str, None] = {}
    seen = {name}

    def visit(one: str) -> None:
        item = _item(parser, one)
        parts = parser.ref_resolver.find_refs_in_config(item.get_config(), one) if item else {}
        for other in parts:
            if other not in seen:
                seen.add(other)
                visit(other)
                found[other] = None

    visit(name)
    return found


def _item(parser: ConfigParser, name: str) -> ConfigItem | None:
    return parser.ref_resolver.items.get(name)
