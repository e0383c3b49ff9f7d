"""The first step of every workflow: ``initialize: [{_target_: labelmine.run.begin.begin}, ...]``."""

from __future__ import annotations

from monai.utils import set_determinism

from labelmine.run.config import resolved, running_parser
from labelmine.run.last_word import end_well, on_monai_command_line
from labelmine.run.overrides import refuse_unknown_overrides
from labelmine.run.words import with_values


def begin() -> None:
    """Refuse unknown overrides, turn words of the command line into values once for all, and seed.

    Must be the first that a config evaluates: what was built before would have been built from words.

    Raises:
        ConfigError: An override that no config file has.
    """
    if on_monai_command_line():
        end_well()
    refuse_unknown_overrides()
    parser = running_parser()
    parser.set(with_values(parser.config))
    parser.parse(reset=True)
    if "seed" in parser.config:
        set_determinism(seed=int(resolved(parser, "seed")))
