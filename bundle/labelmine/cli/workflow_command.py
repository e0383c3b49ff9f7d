"""A verb that runs a workflow: its options are the knobs of the config and of the overlays that are chosen with it."""

from __future__ import annotations

import importlib

import click

from labelmine.cli.failures import reported
from labelmine.cli.messages import messages
from labelmine.cli.options import (
    CHOSEN,
    COMMON,
    SectionOption,
    common_options,
    knob_argument,
    knob_option,
    overlay_options,
    place_name,
)
from labelmine.cli.overlays import config_file, knobs_of
from labelmine.cli.overrides import overrides_of
from labelmine.cli.running import run_configs
from labelmine.cli.selection import choice_with_knob, normalized, selected_files
from labelmine.cli.verbs import Verb
from labelmine.errors import ConfigError
from labelmine.run.declared import opening_comment

_FILES, _KNOBS, _PARAMS = "labelmine.files", "labelmine.knobs", "labelmine.params"  # keys of click's context


class WorkflowCommand(click.Command):
    """A verb of the command line that runs one config of the bundle with overlays and knobs."""

    def __init__(self, verb: Verb) -> None:
        """Make the command of a verb; its knobs are read when it is parsed."""
        words = opening_comment(config_file(verb.config))
        super().__init__(
            verb.name,
            params=[*overlay_options(verb.seams), *common_options()],
            help="\n\n".join([*words, _on_options(verb)]),
            short_help=words[0].split(". ")[0].rstrip(".") if words else "",
            context_settings={"token_normalize_func": normalized, "max_content_width": 120},
        )
        self.verb = verb

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the overlays first, as they bring knobs, then parse all."""
        try:
            ctx.meta[_FILES] = files = selected_files(self.verb, args)
            ctx.meta[_KNOBS] = knobs = knobs_of(files)
        except ConfigError as error:
            raise click.UsageError(str(error), ctx) from error
        by_name = {knob.name: knob for knob in knobs}
        arguments = [knob_argument(by_name[name]) for name in self.verb.positionals]
        ctx.meta[_PARAMS] = [*arguments, *map(knob_option, knobs)]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise self._with_advice(error) from error

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the knobs' options, in the order of the files, before all others."""
        return [*ctx.meta.get(_PARAMS, []), *super().get_params(ctx)]

    def invoke(self, ctx: click.Context) -> None:
        """Run the workflow with what was given."""
        overrides = overrides_of(ctx, ctx.meta[_FILES], ctx.meta[_KNOBS], self.verb.positionals)
        self._refuse_unlisted(ctx, overrides.get(self.verb.positional))
        debug = ctx.params["debug"]
        with messages(debug=debug), reported(debug=debug, resumes=self.verb.resumes):
            run_configs(ctx.meta[_FILES], overrides)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section: choices, knobs in the order of the file, others."""
        sections: dict[str, list[tuple[str, str]]] = {CHOSEN: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                title = param.section if isinstance(param, SectionOption) else COMMON
                sections.setdefault(title, []).append(record)
        sections[COMMON] = sections.pop(COMMON)  # last
        if known := listed(self.verb):
            sections = {place_name(self.verb.positional): list(known.items()), **sections}
        for title, records in sections.items():
            with formatter.section(title[:1].upper() + title[1:]):
                formatter.write_dl(records)

    def _refuse_unlisted(self, ctx: click.Context, value: object) -> None:
        """Answer what the list of a verb does not have with the list, before imports that take seconds."""
        known = listed(self.verb)
        if known and value not in known:
            rows = "".join(f"\n  {name:<14}{purpose}" for name, purpose in known.items())
            place = place_name(self.verb.positional)
            raise click.UsageError(f"expected {place} to be one of these. Got: {value!r}{rows}\n", ctx)

    def _with_advice(self, error: click.NoSuchOption) -> click.NoSuchOption:
        """Say how a nested key is set, which choice brings the knob that was asked for, or which name is nearest."""
        name = error.option_name.lstrip("-")
        if "::" in name:
            advice = f"Write --set {name}=VALUE."
        elif (option := choice_with_knob(self.verb, name)) is not None:
            advice = f"It goes with {option}."
        elif error.possibilities:
            advice = f"Did you mean {error.possibilities[0]!r}?"
        else:
            return error
        return click.NoSuchOption(error.option_name, f"No such option {error.option_name!r}. {advice}", ctx=error.ctx)


def listed(verb: Verb) -> dict[str, str]:
    """Return what the first value of a verb may be, each with what it is for; empty where anything may be."""
    if not verb.listing:
        return {}
    module, _, attribute = verb.listing.partition(":")
    return dict(getattr(importlib.import_module(module), attribute))


def _on_options(verb: Verb) -> str:
    places = ", ".join(f"{place_name(knob)} is --{knob}" for knob in verb.positionals)
    return f"{places}. The options are the knobs of configs/{verb.config}.yaml, written as YAML."
