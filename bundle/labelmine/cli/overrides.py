"""What the command line sets in the configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from labelmine.cli.options import argument_name
from labelmine.cli.values import value_of
from labelmine.run.declared import DeclaredKnob, top_level_keys


def overrides_of(
    ctx: click.Context, files: Sequence[Path], knobs: Sequence[DeclaredKnob], positionals: Sequence[str]
) -> dict[str, Any]:
    """Return keys of the configuration with the values that the user gave them, and only those.

    Args:
        ctx: Of the parsed command line.
        files: Configs that will be run.
        knobs: Those that have options.
        positionals: Knobs that values without an option's name set.

    Raises:
        click.UsageError: One key twice, or a ``--set`` that cannot be read or begins with a key that no file has.
    """
    by_name = {knob.name: knob for knob in knobs}
    given = {name: ctx.params[name] for name in by_name if _was_given(ctx, name)}
    nested = _set(ctx, by_name)
    _refuse_unknown(ctx, [key for key, _ in nested], sorted(set().union(*map(top_level_keys, files))))
    placed = [pair for name in positionals for pair in _placed(ctx, by_name[name])]
    for key, value in [*placed, *nested]:
        if key in given:
            raise click.UsageError(f"{key} is given twice", ctx)
        given[key] = value
    return given


def _was_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _placed(ctx: click.Context, knob: DeclaredKnob) -> list[tuple[str, Any]]:
    name = argument_name(knob.name)
    if not _was_given(ctx, name):
        return []
    value = ctx.params[name]
    return [(knob.name, [_literal(one) for one in value] if isinstance(value, tuple) else _literal(value))]


def _literal(path: str) -> str:
    """Keep MONAI from evaluating a folder's name that begins with one of its signs."""
    return f"./{path}" if path.startswith(("$", "@", "%")) else path


def _set(ctx: click.Context, knobs: Mapping[str, DeclaredKnob]) -> list[tuple[str, Any]]:
    found = []
    for text in ctx.params["set_values"]:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise click.UsageError(f"--set: expected KEY=VALUE or KEY::SUB=VALUE, got {text!r}", ctx)
        try:
            found.append((key.strip(), value_of(value, knobs.get(key.strip()))))
        except ValueError as error:
            raise click.UsageError(f"--set {key.strip()}: {error}", ctx) from error
    return found


def _refuse_unknown(ctx: click.Context, keys: Sequence[str], known: Sequence[str]) -> None:
    for key in keys:
        first = key.replace("#", "::").partition("::")[0]
        if first not in known:
            near = difflib.get_close_matches(first, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "see the config"
            raise click.UsageError(f"--set {key}: no config file of this run has the key {first!r}; {advice}", ctx)
