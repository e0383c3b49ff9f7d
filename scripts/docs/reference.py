"""Reference pages: a page for each verb of the command line, from its config, and one for the overlays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from labelmine.cli.main import command_of
from labelmine.cli.options import CHOSEN, SectionOption, common_options, overlay_options, plain_default
from labelmine.cli.overlays import config_file, knobs_of, overlay_names
from labelmine.cli.verbs import VERBS, Verb
from labelmine.run import files
from labelmine.run.declared import DeclaredKnob, declared_knobs, opening_comment

COMMANDS = "docs/reference/commands"
MADE = "<!-- Made by scripts/docs/make.py from configs/ and bundle/labelmine/cli/; do not edit. -->"


def pages() -> dict[str, str]:
    """Return the text of each page that is made whole, by its path in the repository."""
    found = {f"{COMMANDS}/{verb.name}.md": page_of(verb) for verb in VERBS}
    return {**found, f"{COMMANDS}/index.md": index(), "docs/reference/overlays.md": overlays()}


def index() -> str:
    """Return the page that lists the verbs."""
    rows = [(f"[`{verb.name}`]({verb.name}.md)", command_of(verb).get_short_help_str(200)) for verb in VERBS]
    words = (
        "`labelmine VERB --help` prints what these pages say; they are made from the comments of the configs. Each "
        "verb but `init` runs a config of MONAI's bundle form, so `python -m monai.bundle run --config_file "
        "configs/CONFIG.yaml --KNOB VALUE` does the same. In a checkout commands start with `uv run`. A mistyped "
        "option is refused, and the nearest name is said. Values are written as YAML."
    )
    status = "Exit status: 0 done; 1 the run stopped, and why is its last line; 2 wrong usage; 130 Ctrl-C; 143 SIGTERM."
    return "\n\n".join([MADE, "# Command line", words, status, _table(("verb", "what it does"), rows)])


def page_of(verb: Verb) -> str:
    """Return the page of one verb."""
    return "\n\n".join([MADE, f"# labelmine {verb.name}", *(_workflow(verb) if verb.config else _command(verb))])


def overlays() -> str:
    """Return the page of the overlays: what each is for and what it sets."""
    words = (
        "An overlay is a further config file that changes one choice. `--teacher sam` is `configs/teacher_sam.yaml`, "
        "`--cpu` is `configs/cpu.yaml`; `--overlay FILE` takes any. With MONAI's own command: `--config_file "
        "\"['configs/mine.yaml','configs/teacher_sam.yaml']\"`."
    )
    parts = [MADE, "# Overlays", words]
    for name in overlay_names():
        path = config_file(name)
        parts += [f"## {name}.yaml", *map(_plain, opening_comment(path))]
        parts.append(_table(("knob", "value", "what it is"), map(_row, declared_knobs(path))))
    return "\n\n".join(parts)


def run_files() -> str:
    """Return the names that stand in ``run/files.py``, with the comments that say what they are."""
    found = re.findall(r"^#: (.*)\n(\w+) = \"(.*)\"$", Path(files.__file__).read_text(encoding="utf-8"), re.MULTILINE)
    return _table(("name", "what it is"), [(f"`{name}`", _plain(words)) for words, _, name in found])


def _workflow(verb: Verb) -> Iterator[str]:
    path = config_file(verb.config)
    knobs = knobs_of([path])
    place = "RUN" if not verb.positional.startswith("dataset") else "DIR"
    yield from map(_plain, opening_comment(path))
    bundle = f"python -m monai.bundle run --config_file configs/{verb.config}.yaml [OPTIONS]"
    yield f"```bash\nlabelmine {verb.name} [{place}] [OPTIONS]\n{bundle}\n```"
    yield f"`{place}` is `--{verb.positional}`. The options are the knobs of `configs/{verb.config}.yaml`."
    for title in dict.fromkeys(knob.section for knob in knobs):
        yield f"## {_heading(title)}"
        yield _table(("knob", "default", "what it is"), (_row(knob) for knob in knobs if knob.section == title))
    options = [*overlay_options(verb.seams), *common_options()]
    yield f"## {_heading(CHOSEN)} and other options"
    yield _table(("option", "what it does"), map(_option, options))


def _command(verb: Verb) -> Iterator[str]:
    command = command_of(verb)
    context = click.Context(command, info_name=f"labelmine {verb.name}")
    yield f"```text\n{command.get_help(context)}\n```"


def _heading(title: str) -> str:
    return title[:1].upper() + title[1:]


def _row(knob: DeclaredKnob) -> tuple[str, str, str]:
    default = plain_default(knob)
    if not knob.is_expression:
        default = f"`{default.removeprefix('default: ')}`"
    return f"`--{knob.name}`", _plain(default), _plain(knob.help)


def _option(option: SectionOption) -> tuple[str, str]:
    metavar = "" if option.is_flag else f" {option.metavar}"
    return f"`{option.opts[0]}{metavar}`", _plain(option.help or "")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _plain(words: str) -> str:
    """Return words as Markdown that shows them as they are; what is between ``<`` and ``>`` becomes code."""
    return re.sub(r"<[^>]*>", r"`\g<0>`", words).replace("*", r"\*")
