"""Values as they are written on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from labelmine.bundle import bundle_root
from labelmine.cli.values import is_text, value_of
from labelmine.run.declared import DeclaredKnob, declared_knobs


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("3.0E+2", 300.0), (".5", 0.5), ("-1", -1), ("0", 0), ("true", True), ("False", False),
        ("null", None), ("~", None), ("None", None), ("[0,1]", [0, 1]), ("[40, 400]", [40, 400]),
        ("{liver: 1, tumour: 2}", {"liver": 1, "tumour": 2}), ("{'title': 'Boxes', 'knobs': {'k': [box]}}",
        {"title": "Boxes", "knobs": {"k": ["box"]}}), ("[a, null, 1e-3]", ["a", None, 1e-3]),
        ("'2024'", "2024"), ("cuda:0", "cuda:0"), ("@seed", "@seed"), ("$1 + 1", "$1 + 1"),
    ],
)  # fmt: skip
def test_yaml_is_read(text: str, value: Any) -> None:
    read = value_of(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["010", "1:30", "2024-01-31", "yes", "off", "on", "0x10", "1_000", "=", "inf"])
def test_traps_of_yaml_1_1_stay_text(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize("text", ["2024", "1e5", "true", "2024-01-31", "[a]", "a: b", "007"])
def test_what_names_a_file_stays_text(text: str) -> None:
    for knob in (DeclaredKnob("dataset_dir", None), DeclaredKnob("encoder_weights", "$None"),
                 DeclaredKnob("corrections", None, "folder of masks"), DeclaredKnob("layer", "decoder")):  # fmt: skip
        assert value_of(text, knob) == text
        assert value_of("null", knob) is None


def test_lists_of_names_stay_text() -> None:
    assert value_of("[007, a]", DeclaredKnob("ids", None)) == ["007", "a"]
    assert value_of("2024", DeclaredKnob("dataset_dirs", [])) == ["2024"]


def test_a_single_value_is_a_list_of_one() -> None:
    assert value_of("box", DeclaredKnob("prompt_kinds", ["points"])) == ["box"]
    assert value_of("0", DeclaredKnob("seeds", [0, 1])) == [0]
    assert value_of("null", DeclaredKnob("seeds", [0, 1])) is None


@pytest.mark.parametrize(
    ("text", "default", "message"),
    [
        ("maybe", True, "expected true or false, got 'maybe'"),
        ("1", False, "expected true or false, got '1'"),
        ("DIR", 0, "expected a number, got 'DIR'"),
        ("true", 0.5, "expected a number, got 'true'"),
        ("[1]", 3, r"expected a number, got '\[1\]'"),
        ("a", {}, "expected a mapping such as .* got 'a'"),
        ("[0,", [0], r"cannot read '\[0,'.*put lists and mappings in quotes"),
        ("{liver:1}", None, "expected a space after each colon"),
        ("", "text", "expected a value, got an empty text; write null for none"),
    ],
)
def test_what_a_knob_cannot_be_is_refused(text: str, default: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value_of(text, DeclaredKnob("knob", default))


def test_knobs_without_a_default_that_name_files_are_known() -> None:
    knobs = [knob for file in (bundle_root() / "configs").glob("*.yaml") for knob in declared_knobs(file)]
    without = {knob.name: is_text(knob) for knob in knobs if knob.default is None}
    files = {"dataset_dir", "split_file", "corrections", "pretrained", "masks_dir", "scores", "exam_dir", "ids"}
    assert {name for name in files & set(without) if not without[name]} == set()
    others = {"classes", "window", "near_images", "one_class_limit", "cell", "learning_rate", "image_size", "backend"}
    assert {name for name in others & set(without) if without[name]} == set()
