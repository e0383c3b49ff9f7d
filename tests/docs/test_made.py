"""What docs show is true today: made parts are as their sources say, commands parse, pages are found."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
import yaml

from labelmine.bundle import bundle_root
from labelmine.cli.main import cli
from labelmine.run.declared import top_level_keys

ROOT = bundle_root()
#: Of MONAI's bundle form and for GitHub, not of the site.
NO_PAGES = {"README.md"}
FENCE = re.compile(r"^```(?:bash)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: What may stand before a program's name: settings of the environment, what starts it.
STARTS = re.compile(r"(\w+=\S+ )*((uv run )?python -m |uv run |torchrun .*-m )?")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "models").glob("*.md"))]


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Yield page and words of each command of a program in the fenced blocks of all pages."""
    for page in PAGES:
        for block in FENCE.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                before, found, rest = line.partition(program)
                if found and STARTS.fullmatch(before) and "[OPTIONS]" not in line:
                    yield page.relative_to(ROOT).as_posix(), shlex.split(rest, comments=True)


def parse(words: list[str]) -> None:
    """Let the command line read a command, and run nothing."""
    with click.Context(cli) as context:
        name, command, rest = cli.resolve_command(context, words)
        assert command is not None
        command.make_context(name, rest, parent=context)


def test_made_parts_are_as_they_would_be_made_today() -> None:
    script = ROOT / "scripts" / "docs" / "make.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_every_command_of_the_docs_is_one() -> None:
    found = [words for words in commands("labelmine ") if words[1][:1] != ["--version"]]
    assert len(found) > 30
    for page, words in found:
        overlay = words.index("--overlay") + 1 if "--overlay" in words else 0
        if overlay and words[overlay].endswith(".yaml"):
            del words[overlay - 1 : overlay + 1]  # a file of the reader's
        try:
            parse(words)
        except click.ClickException as error:
            pytest.fail(f"{page}: labelmine {' '.join(words)}: {error.format_message()}")


def test_a_command_that_is_none_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(["mine", "DIR", "--epoch", "5"])


def test_every_bundle_command_names_configs_and_knobs_that_exist() -> None:
    found = [words for words in commands("monai.bundle run ") if "--config_file" in words[1]]
    assert len(found) > 20
    for page, words in found:
        value = words[words.index("--config_file") + 1]
        names = yaml.safe_load(value) if value.startswith("[") else [value]
        if not all(name.endswith((".yaml", ".json")) for name in names):
            continue  # a shell variable
        known = set().union(*(top_level_keys(ROOT / name) for name in names))
        given = {word.removeprefix("--").split("::")[0] for word in words if word.startswith("--")} - {"config_file"}
        assert given <= known, f"{page}: {given - known} in {' '.join(words)}"


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    shown = set(re.findall(r"[\w/-]+\.md\b", text.partition("\nnav:")[2]))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages - shown - NO_PAGES == set(), "name them under nav: in mkdocs.yml"
    assert shown <= pages


def test_links_out_of_readme_and_models_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "models").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_bundle_readme_keeps_the_form_of_the_zoo() -> None:
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Model Overview\n")
    assert (ROOT / "docs" / "data_license.txt").is_file()
