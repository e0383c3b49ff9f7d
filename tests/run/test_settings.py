"""No run folder takes another run's results for its own: each knob and overlay shows, or is known to change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError
from labelmine.run.declared import declared_knobs
from labelmine.run.folder import RunFolder
from labelmine.run.settings import NO_EFFECT, changes, derive_settings
from makers import knobs_class

CONFIGS = bundle_root() / "configs"
FILES = {path.stem: ConfigParser.load_config_file(str(path)) for path in sorted(CONFIGS.glob("*.yaml"))}
WORKFLOWS = [name for name, content in FILES.items() if "run" in content]
OVERLAYS = [name for name in FILES if name not in WORKFLOWS]


def settings_of(*names: str, **overrides: Any) -> dict[str, Any]:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / f"{name}.yaml") for name in names])
    parser.update(overrides)
    parser.parse(reset=True)
    return derive_settings(parser, knobs_class(names[0]).model_fields)


def other_than(value: Any) -> Any:
    """Another value that the same knob could have."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [*value, value[0]] if value else ["more"]
    if isinstance(value, dict):
        return {**value, "more": 1}
    return f"{value}_other"


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_knobs_of_a_config_are_those_of_its_class(workflow: str) -> None:
    names = [knob.name for knob in declared_knobs(CONFIGS / f"{workflow}.yaml")]
    assert len(names) == len(set(names))
    assert set(names) == set(knobs_class(workflow).model_fields)
    assert knobs_class(workflow).workflow == workflow


def test_a_knob_has_the_same_words_in_every_config() -> None:
    words: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for knob in declared_knobs(CONFIGS / f"{workflow}.yaml"):
            assert knob.help, f"{workflow}: {knob.name} has no comment"
            words.setdefault(knob.name, set()).add(knob.help)
    assert {name: told for name, told in words.items() if len(told) > 1} == {}


@pytest.fixture(scope="module", params=WORKFLOWS)
def base(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param, settings_of(request.param)


def test_every_knob_shows_or_is_known_to_change_nothing(base: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    workflow, before = base
    finish(RunFolder(tmp_path, before, workflow))
    for knob in knobs_class(workflow).model_fields:
        value = other_than(before.get(knob))
        after = settings_of(workflow, **{knob: value})
        if knob in NO_EFFECT:
            # Others may follow it, as a default does that suits a device: they show.
            assert knob not in {name for name, _, _ in changes(before, after)}
            continue
        with pytest.raises(ConfigError, match=rf"holds a run with other settings \(.*\b{knob}\b") as caught:
            RunFolder(tmp_path, after, workflow)
        assert "Give another --output_dir" in str(caught.value)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_shows(overlay: str, tmp_path: Path) -> None:
    before, after = settings_of("mine"), settings_of("mine", overlay)
    changed = {name.split("::")[0] for name, _, _ in changes(before, after)}
    declared = {key.removeprefix("+") for key in FILES[overlay]} - set(NO_EFFECT) - {"finalize", "initialize"}
    # A value that the workflow has by default is no change: without a GPU cpu.yaml says what mine.yaml does.
    unchanged = {key for key in declared if key in before and before[key] == after[key]}
    assert changed >= declared - unchanged
    assert changed or overlay in ("multi_gpu", "cpu")
    if changed:
        finish(RunFolder(tmp_path, before, "mine"))
        with pytest.raises(ConfigError, match="holds a run with other settings"):
            RunFolder(tmp_path, after, "mine")


@pytest.mark.parametrize(
    ("names", "overrides", "expected"),
    [
        (("mine", "teacher_sam"), {"teacher::multimask": False}, "teacher::multimask: None then, False now"),
        (("mine", "teacher_medsam"), {"teacher::preprocessing": "sam"}, "teacher::preprocessing: 'medsam' then, 'sam'"),
        (("mine",), {"teacher::_target_": "mine.of_my_own"}, "teacher::_target_: 'labelmine.teachers"),
        (("mine",), {"labeler::_target_": "mine.of_my_own"}, "labeler::_target_: 'labelmine.labelers"),
        (("mine",), {"exclusive": True}, "exclusive: None then, True now"),
    ],
)
def test_nested_overrides_show(
    names: tuple[str, ...], overrides: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    finish(RunFolder(tmp_path, settings_of(*names), "mine"))
    with pytest.raises(ConfigError, match="other settings") as caught:
        RunFolder(tmp_path, settings_of(*names, **overrides), "mine")
    assert expected in str(caught.value)


def test_a_default_given_by_hand_is_no_change() -> None:
    assert settings_of("mine") == settings_of("mine", encoder="mobilenet_v2", image_size=96)


def test_the_list_of_what_changes_nothing_holds_only_knobs_that_there_are() -> None:
    declared = {key for content in FILES.values() for key in content}
    assert set(NO_EFFECT) <= declared


def finish(folder: RunFolder) -> None:
    folder.stage("train", lambda: None)
