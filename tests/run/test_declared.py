"""Knobs as they are declared in config files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError
from labelmine.run.declared import SECTIONS, DeclaredKnob, declared_knobs, opening_comment, top_level_keys

CONFIG = """\
# What it is for.
# In two lines.
#
#   python -m monai.bundle run --config_file x.yaml
#
# As an example:
#   a command

# --- knobs: data ------------------------------
folder: null  # where; null: "nowhere" # at all
name: "a # b"  # its name
# above size
size: 3
ratio: "$1 if @size is None else 2"
# ratio: of two
# and more
plain: 'x'  # first
# size of the next: 4
next: {a: 1, b: [c]}
seam: {_target_: torch.nn.Identity}
in::side: 3
+merged: [1]

# a loose remark

# --- knobs -----
rows:  # lines
  one: {_target_: builtins.dict}
# beneath rows, above last
last: [1,
  2]  # in two lines
{end}
after: 1  # no knob
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("{end}", "# --- seams ---------"))
    return file


def test_defaults_comments_and_sections_are_read(config: Path) -> None:
    assert declared_knobs(config) == [
        DeclaredKnob("folder", None, 'where; null: "nowhere" # at all', "data"),
        DeclaredKnob("name", "a # b", "its name", "data"),
        DeclaredKnob("size", 3, "above size", "data"),
        DeclaredKnob("ratio", "$1 if @size is None else 2", "of two and more", "data"),
        DeclaredKnob("plain", "x", "first", "data"),
        DeclaredKnob("next", {"a": 1, "b": ["c"]}, "size of the next: 4", "data"),
        DeclaredKnob("rows", {"one": {"_target_": "builtins.dict"}}, "lines", "knobs"),
        DeclaredKnob("last", [1, 2], "beneath rows, above last in two lines", "knobs"),
    ]
    assert [knob.is_expression for knob in declared_knobs(config)].count(True) == 1


@pytest.mark.parametrize("end", [*(f"{key}:\n  - x" for key in sorted(SECTIONS)), "+initialize: [x]"])
def test_each_section_ends_the_knobs(end: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"a: 1\n{end}\nb: 2\n")
    assert [knob.name for knob in declared_knobs(tmp_path / "c.yaml")] == ["a"]


def test_opening_comment_is_its_prose(config: Path) -> None:
    assert opening_comment(config) == ["What it is for. In two lines."]


def test_an_opening_comment_right_above_a_knob_does_not_explain_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# Overlay for this.\na: 1\n")
    assert declared_knobs(tmp_path / "c.yaml") == [DeclaredKnob("a", 1)]


@pytest.mark.parametrize("file", sorted((bundle_root() / "configs").glob("*.yaml")), ids=lambda file: file.stem)
def test_names_and_defaults_are_what_yaml_gives(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert top_level_keys(file) == {key.removeprefix("+").partition("::")[0] for key in content}
    for knob in declared_knobs(file):
        assert content[knob.name] == knob.default


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1\n", "is no YAML: .*flow sequence"), ("- 1\n", "expected a mapping of keys to values in .*, got seq")],
)
def test_what_is_no_config_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        declared_knobs(tmp_path / "c.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for function in (declared_knobs, top_level_keys, opening_comment):
        with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
            function(tmp_path / "none.yaml")


def test_an_empty_config_has_no_knobs(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert declared_knobs(tmp_path / "c.yaml") == []
