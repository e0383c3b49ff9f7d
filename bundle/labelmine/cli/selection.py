"""Which config files a command line asks for: they must be known before its options are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from labelmine.cli.options import overlay_options
from labelmine.cli.overlays import choices_of, chosen_overlay, config_file, knobs_of, overlay_by_name_or_path, switches
from labelmine.cli.verbs import Verb


def normalized(word: str) -> str:
    """Let ``--dataset-dir`` be ``--dataset_dir``, and ``hugging_face`` be ``hugging-face``."""
    return word.replace("-", "_")


def selected_files(verb: Verb, args: Sequence[str]) -> list[Path]:
    """Return the verb's config and the overlays that its arguments choose.

    Overlays for seams come first, then those that are switched on, then those given by path or name, in their order:
    what the user wrote has the last word.

    Args:
        verb: A verb that runs a config.
        args: What the user wrote after the verb; options that are not known yet are passed over.

    Raises:
        ConfigError: An overlay that is not there.
    """
    scout = click.Command(
        verb.name,
        params=[*overlay_options(verb.seams)],
        add_help_option=False,
        context_settings={
            "token_normalize_func": normalized,
            "ignore_unknown_options": True,
            "allow_extra_args": True,
        },
    )
    given = scout.make_context(verb.name, list(args), resilient_parsing=True).params
    chosen = [chosen_overlay(seam, given[f"chosen_{seam}"]) for seam in verb.seams if given[f"chosen_{seam}"]]
    switched = [config_file(name) for name in switches() if given[f"switched_{name}"]]
    further = [overlay_by_name_or_path(text) for text in given["further_overlays"]]
    return [config_file(verb.config), *(file for file in chosen if file is not None), *switched, *further]


def choice_with_knob(verb: Verb, name: str) -> str | None:
    """Return the option that brings a knob which the verb alone has not: ``--labeler reference`` for ``k``."""
    base = config_file(verb.config)
    for seam in verb.seams:
        for choice in choices_of(seam):
            overlay = chosen_overlay(seam, choice)
            if overlay is not None and name in {knob.name for knob in knobs_of([base, overlay])}:
                return f"--{seam} {choice}"
    return None
