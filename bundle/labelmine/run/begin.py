"""The first step of every workflow: ``initialize: [{_target_: labelmine.run.begin.begin}, ...]``."""

from __future__ import annotations

from monai.utils import set_determinism

from labelmine.run.config import resolved, running_parser
from labelmine.run.early_checks import refuse_together
from labelmine.run.last_word import on_monai_command_line, say_error_last
from labelmine.run.overrides import follow_tracking, refuse_unknown_overrides
from labelmine.run.words import with_values


def begin() -> None:
    """Refuse unknown overrides, turn words of the command line into values once for all, seed, and check the knobs.

    Must be the first that a config evaluates: what was built before would have been built from words.

    Raises:
        ConfigError: An override that no config file has.
        LabelmineError: Knobs that cannot be used, all together, see ``refuse_together``.
    """
    if on_monai_command_line():
        say_error_last()
    refuse_unknown_overrides()
    parser = running_parser()
    parser.set(with_values(parser.config))
    follow_tracking(parser)
    parser.parse(reset=True)
    seed = resolved(parser, "seed") if "seed" in parser.config else None
    if isinstance(seed, int):  # what is no number is refused with all else
        set_determinism(seed=seed)
    refuse_together(parser)
