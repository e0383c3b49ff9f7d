"""Each command that docs show is one: its verb, options, configs, knobs, methods and scripts exist. Nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml

from labelmine.bundle import bundle_root
from labelmine.cli.main import cli
from labelmine.run.declared import top_level_keys

ROOT = bundle_root()
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "models").glob("*.md")),
]  # fmt: skip
FENCE = re.compile(r"^```(?:bash|sh)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"^(?:.*; )?(\w+)=(\"[^\"]*\"|[^\s;]+)(?=$|;)")
#: What may stand before a program's name: settings of the environment, what installs or starts it.
STARTS = re.compile(r"(pip install -q uv && )?(\w+=\S+ )*((uv run )?python (-m )?|uv run |torchrun .*-m )?")
BUNDLE, CONFIG = "monai.bundle run ", "--config_file"


class Command(NamedTuple):
    """A command of a page, and where it stands."""

    place: str
    words: list[str]

    def value(self, option: str, default: str = "") -> str:
        """Return what follows an option."""
        return self.words[self.words.index(option) + 1] if option in self.words else default

    def given(self) -> set[str]:
        """Return the names of its options, without what follows ``::``."""
        return {word.removeprefix("--").split("::")[0] for word in self.words if word.startswith("--")}


def commands(program: str, pages: list[Path] = PAGES) -> Iterator[Command]:
    """Yield each command of a program in the fenced blocks of all pages, with the variables of its block put in.

    A line that begins with ``...`` goes on as MONAI's command before it, with the same configs.
    """
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for block in FENCE.finditer(text):
            known: dict[str, str] = {}
            config = ""
            number = text[: block.start(1)].count("\n")
            for line in re.split(r"(?<!\\)\n", block[1]):
                number += 1
                place, shown = f"{page.relative_to(ROOT)}:{number}", line.replace("\\\n", " ")
                number += line.count("\n")
                known |= {name: value for part in shown.split("; ") for name, value in VARIABLE.findall(part)}
                shown = re.sub(r'"\$(\w+)"', lambda found, known=known: known.get(found[1], found[0]), shown)
                shown = re.sub(r"\$(\w+)", lambda found, known=known: known.get(found[1], found[0]).strip('"'), shown)
                if program == BUNDLE:
                    shown = re.sub(r"^\.\.\. ", f"python -m {BUNDLE}", shown)
                before, found, rest = shown.partition(program)
                if found and STARTS.fullmatch(before) and "[OPTIONS]" not in shown:
                    command = Command(place, shlex.split(rest, comments=True))
                    config = command.value(CONFIG, config)
                    went_on = [CONFIG, config] if program == BUNDLE and config and CONFIG not in command.words else []
                    yield Command(place, [*went_on, *command.words])


def parse(words: list[str]) -> None:
    """Let the command line read a command, and run nothing."""
    with click.Context(cli) as context:
        name, command, rest = cli.resolve_command(context, words)
        assert command is not None
        command.make_context(name, rest, parent=context)


def configs_of(command: Command) -> list[Path]:
    """Return the files of MONAI's command."""
    value = command.value(CONFIG)
    names = yaml.safe_load(value) if value.startswith("[") else [value]
    return [ROOT / name.removeprefix("/path/labelmine/") for name in names]


def test_every_command_of_the_docs_is_one() -> None:
    found = [command for command in commands("labelmine ") if command.words[:1] != ["--version"]]
    assert len(found) > 60
    for place, words in found:
        overlay = words.index("--overlay") + 1 if "--overlay" in words else 0
        if overlay and words[overlay].endswith(".yaml"):
            del words[overlay - 1 : overlay + 1]  # a file of the reader's
        try:
            parse(words)
        except click.ClickException as error:
            pytest.fail(f"{place}: labelmine {' '.join(words)}: {error.format_message()}")


def test_a_command_that_is_none_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(["mine", "DIR", "--epoch", "5"])


def test_every_bundle_command_names_configs_knobs_and_methods_that_exist() -> None:
    found = [command for command in commands(BUNDLE) if command.value(CONFIG)]  # "..." stands for what was said above
    assert len(found) > 50
    for command in found:
        paths = configs_of(command)
        missing = [path for path in paths if not path.is_file()]
        assert not missing, f"{command.place}: no {missing}"
        known = set().union(*(top_level_keys(path) for path in paths))
        given = command.given() - {"config_file"}
        assert given <= known, f"{command.place}: {given - known} in {' '.join(command.words)}"
        of_a_study = {name for path in paths for name in yaml.safe_load(path.read_text("utf-8")).get("catalogue", ())}
        added = {word.split("::")[1] for word in command.words if word.startswith("--catalogue::")}
        methods = set(yaml.safe_load(command.value("--methods", "[]")))
        earlier = {"one_time_longer"} if "few_masks" in command.place else set()
        assert methods <= of_a_study | added | earlier, f"{command.place}: no methods {methods - of_a_study - added}"


def test_every_script_of_the_docs_is_there_and_knows_its_options() -> None:
    found = [*commands("scripts/"), *commands("examples/")]
    assert len(found) > 15
    for place, (name, *words) in found:
        (script,) = [path for room in ("scripts", "examples") if (path := ROOT / room / name).is_file()] or [None]
        assert script is not None, f"{place}: no script {name}"
        text = script.read_text(encoding="utf-8")
        for word in words:
            option = word.removeprefix("--").split("=")[0]
            assert not word.startswith("--") or option in text, f"{place}: {name} has no {word}"


def test_lines_are_joined_and_variables_put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "Words.\n\n```bash\nM=\"['a.yaml','b.yaml']\"; K=folder\n"
        'pip install -q uv && uv run python -m monai.bundle run --config_file "$M" \\\n    --dataset_dir $K  # so\n'
        "... --seed 1\n```\n"
    )
    first, second = commands(BUNDLE, [page])
    assert first == ("page.md:5", ["--config_file", "['a.yaml','b.yaml']", "--dataset_dir", "folder"])
    assert second == ("page.md:7", ["--config_file", "['a.yaml','b.yaml']", "--seed", "1"])
