"""Options of a workflow: its config's knobs, the overlays it may be run with, and what all verbs have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click
import yaml

from labelmine.cli.overlays import CHOICES, choices_of, config_file, switches
from labelmine.cli.values import is_text, value_of
from labelmine.run.declared import DeclaredKnob, opening_comment

#: Titles of sections that are not the configs'.
CHOSEN, COMMON = "choices", "other"
#: What help calls the arguments that set knobs without their names; others are folders of images, or of runs.
PLACES = {"form": "FORM", "output_dir": "FOLDER"}

_WIDEST_DEFAULT = 80  # characters

#: Expressions that stand in many configs, as people say them.
_PLAIN_WORDS = (
    (r"torch\.cuda\.is_available\(\)", "there is a GPU"),
    (r"@(\w+)", r"\1"),
    (r"\bNone\b", "null"),
    (r"\bTrue\b", "true"),
    (r"\bFalse\b", "false"),
    (r"'(\w+)'", r"\1"),
)


class KnobType(click.ParamType[Any]):
    """Reads the value of a knob."""

    name = "value"

    def __init__(self, knob: DeclaredKnob) -> None:
        """Make the type of one knob."""
        self.knob = knob

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a text as the knob's value."""
        try:
            return value_of(value, self.knob)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SectionOption(click.Option):
    """An option that help shows under its section's title."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        """Make an option; all but the section is click's."""
        super().__init__(*args, **kwargs)
        self.section = section


def knob_option(knob: DeclaredKnob) -> SectionOption:
    """Return the option of a knob: ``--dataset_dir``, with ``--dataset-dir`` by the command's normalisation."""
    switch = {"is_flag": False, "flag_value": "true"} if isinstance(knob.default, bool) else {}
    shown = f"[{plain_default(knob)}]"
    return SectionOption(
        [f"--{knob.name}", knob.name],
        type=KnobType(knob),
        metavar=_metavar(knob),
        help=f"{knob.help}  {shown}" if knob.help else shown,
        section=knob.section or "knobs",
        **switch,
    )


def knob_argument(knob: DeclaredKnob) -> click.Argument:
    """Return the argument that sets a knob without its name; as many as there are, where the knob is a list."""
    many = isinstance(knob.default, list)
    shown = f"[{place_name(knob.name)}]{'...' if many else ''}"
    return click.Argument([argument_name(knob.name)], required=False, nargs=-1 if many else 1, metavar=shown)


def argument_name(knob: str) -> str:
    """Return the name of the parameter that sets a knob without its name."""
    return f"place_{knob}"


def place_name(knob: str) -> str:
    """Return what help calls the argument that sets a knob without its name: images, or the folder of a run."""
    return PLACES.get(knob, "DIR" if knob.startswith("dataset") else "RUN")


def overlay_options(seams: Sequence[str]) -> list[SectionOption]:
    """Return the options that choose overlays.

    Args:
        seams: Those of `CHOICES` that the workflow has.
    """
    chosen = [
        SectionOption(
            [f"--{seam}", f"chosen_{seam}"],
            type=click.Choice(choices_of(seam)),
            metavar="|".join(choices_of(seam)),
            help=f"which {seam}  [default: {CHOICES[seam]}]",
            section=CHOSEN,
        )
        for seam in seams
    ]
    switched = [
        SectionOption(
            [f"--{name.replace('_', '-')}", f"switched_{name}"],
            is_flag=True,
            help=_purpose(name),
            section=CHOSEN,
        )
        for name in switches()
    ]
    others = SectionOption(
        ["--overlay", "further_overlays"],
        multiple=True,
        metavar="FILE",
        help="any other overlay: path of its file, or its name in configs/; may be repeated",
        section=CHOSEN,
    )
    return [*chosen, *switched, others]


def common_options() -> list[SectionOption]:
    """Return the options that each workflow has besides."""
    return [
        SectionOption(
            ["--set", "set_values"],
            multiple=True,
            metavar="KEY::SUB=VALUE",
            help="set anything else in the config, for example --set teacher::multimask=true; may be repeated",
            section=COMMON,
        ),
        SectionOption(
            ["--debug"],
            is_flag=True,
            help="show tracebacks and all that the libraries say",
            section=COMMON,
        ),
    ]


def plain_default(knob: DeclaredKnob) -> str:
    """Show a default as people write or say it.

    Example:
        >>> plain_default(DeclaredKnob("seeds", [0, 1]))
        'default: [0, 1]'
        >>> plain_default(DeclaredKnob("device", "$'cuda' if torch.cuda.is_available() else 'cpu'"))
        'depends: cuda if there is a GPU else cpu'
    """
    if knob.is_expression:
        return f"depends: {_in_words(knob.default)}"
    text = yaml.safe_dump(knob.default, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    text = text.removesuffix("...\n").strip()
    return f"default: {text if len(text) <= _WIDEST_DEFAULT else text[:_WIDEST_DEFAULT].rsplit(' ', 1)[0] + ' ...'}"


def _in_words(expression: str) -> str:
    text = expression.removeprefix("$")
    for pattern, words in _PLAIN_WORDS:
        text = re.sub(pattern, words, text)
    return text


def _metavar(knob: DeclaredKnob) -> str:
    if isinstance(knob.default, bool):
        return "true|false"
    if isinstance(knob.default, int | float):
        return "NUMBER"
    if isinstance(knob.default, list | dict):
        return "LIST" if isinstance(knob.default, list) else "MAPPING"
    if re.search(r"(^|_)dir$", knob.name):
        return "DIR"
    return "TEXT" if is_text(knob) else "VALUE"


def _purpose(overlay: str) -> str:
    first = (opening_comment(config_file(overlay)) or [""])[0]
    return first.removeprefix("Overlay ").removeprefix("Overlay: ").split(". ")[0].rstrip(".")
