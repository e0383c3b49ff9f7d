"""The verbs, one line each: a new one needs no more than its line here."""

from __future__ import annotations

from dataclasses import dataclass

TEACHER, LABELER = "teacher", "labeler"


@dataclass(frozen=True)
class Verb:
    """A verb of the command line: a config of the bundle, or a command of its own.

    Attributes:
        name: What the user writes.
        config: Name of the config that it runs, without ``.yaml``; empty for a command of its own.
        positional: Knob that a value without an option's name sets.
        further: Knobs that the values after it set, in their order.
        listing: ``module:attribute`` of a mapping from values of the first knob to what they are for, shown by help.
        seams: Seams of that config which overlays may replace.
        resumes: Whether the same command goes on where a stopped one was.
        command: ``module:attribute`` of a click command, imported when it is asked for.
    """

    name: str
    config: str = ""
    positional: str = "dataset_dir"
    further: tuple[str, ...] = ()
    listing: str = ""
    seams: tuple[str, ...] = ()
    resumes: bool = True
    command: str = ""

    @property
    def positionals(self) -> tuple[str, ...]:
        """Knobs that values without an option's name set, in their order."""
        return (self.positional, *self.further)


VERBS = (
    Verb("doctor", "doctor", seams=(TEACHER,), resumes=False),
    Verb("mine", "mine", seams=(TEACHER, LABELER)),
    Verb("train", "train"),
    Verb("label", "label", seams=(TEACHER, LABELER)),
    Verb("predict", "inference", seams=(TEACHER,)),
    Verb("evaluate", "evaluate", seams=(TEACHER,), resumes=False),
    Verb("study", "study"),
    Verb("synthesize", "synthesize", seams=(TEACHER,)),
    Verb("review", "review", positional="model_dir"),
    Verb("embed", "embed", seams=(TEACHER,)),
    Verb(
        "export",
        "export",
        positional="form",
        further=("model_dir", "output_dir"),
        listing="labelmine.workflows.export:PURPOSES",
        resumes=False,
    ),
    Verb("replay", "replay", positional="run_dir", seams=(TEACHER,), resumes=False),
    Verb("search-prompts", "search_prompts", positional="model_dir", seams=(TEACHER,)),
    Verb("pretrain-simclr", "pretrain_simclr"),
    Verb("train-teacher", "train_teacher", positional="dataset_dirs"),
    Verb("init", command="labelmine.cli.init:command"),
)
