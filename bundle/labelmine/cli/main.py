"""The command ``labelmine``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import labelmine
from labelmine.cli.selection import normalized
from labelmine.cli.verbs import VERBS, Verb
from labelmine.cli.workflow_command import WorkflowCommand

USAGE = 2  # exit status


class VerbGroup(click.Group):
    """The verbs of the table, each made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return [verb.name for verb in VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a verb, with hyphens or underscores."""
        verb = next((verb for verb in VERBS if normalized(verb.name) == normalized(cmd_name)), None)
        return None if verb is None else command_of(verb)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb, or name the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            verbs = self.list_commands(ctx)
            raise click.NoSuchCommand(args[0], f"No such verb {args[0]!r}.", verbs, ctx=ctx) from error


def command_of(verb: Verb) -> click.Command:
    """Return the click command of a verb."""
    if not verb.command:
        return WorkflowCommand(verb)
    module, _, attribute = verb.command.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


@click.group(cls=VerbGroup, subcommand_metavar="VERB [DIR] [OPTIONS]", context_settings={"max_content_width": 120})
@click.version_option(labelmine.__version__, message="labelmine %(version)s")
def cli() -> None:
    """Mine segmentation labels from large models: a few gold masks in, a small student and reviewed labels out.

    labelmine mine DIR is the everyday way in; without DIR it shows what it does on made images. DIR holds images/ and
    masks/, of which some may be missing. labelmine VERB --help lists the knobs.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 for errors, 2 for a wrong usage, 130 for Ctrl-C, 143 for SIGTERM."""
    try:
        status = cli.main(args, prog_name="labelmine", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        status = USAGE
    except click.Abort:
        status = 130
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "labelmine"
        click.echo(f"{where}: {error.format_message()} ({where} --help)", err=True)
        status = error.exit_code
    sys.exit(status or 0)
