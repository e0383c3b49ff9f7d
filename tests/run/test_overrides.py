"""The guard against mistyped overrides in real MONAI runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from labelmine.errors import ConfigError
from labelmine.run.overrides import refuse_unknown_overrides

# MONAI warns at every run that a config is code.
pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")

Run = Callable[..., str]


def refusal(run: Run, *names: str, **overrides: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        run(*names, **overrides)
    assert isinstance(caught.value.__cause__, ConfigError)
    return str(caught.value.__cause__)


def test_known_overrides_run(run: Run) -> None:
    assert run() == "2"
    assert run(epochs=3) == "6"
    assert run("base.yaml", "overlay.yaml", image_size=64) == "2"
    assert run(**{"net::in_features": 4}) == "2"


def test_unknown_override_is_refused_with_nearest_and_knobs(run: Run) -> None:
    message = refusal(run, epoch=5)
    assert message == (
        "unknown override 'epoch' (did you mean 'epochs'?): no config file of this run has that key; "
        "the knobs are: epochs, learning_rate, out_file, classes, image_file"
    )


def test_several_unknown_overrides_are_named_together(run: Run) -> None:
    message = refusal(run, zzz=1, learning_rat=2)
    assert "'learning_rat' (did you mean 'learning_rate'?), 'zzz': no config file" in message


def test_a_knob_of_an_overlay_is_known_only_with_the_overlay(run: Run) -> None:
    assert "unknown override 'image_size'" in refusal(run, image_size=64)
    message = refusal(run, "base.yaml", "overlay.yaml", imagesize=64)
    assert "did you mean 'image_size'?" in message
    assert message.endswith("classes, image_file, image_size")


def test_args_file_and_tracking_settings_are_understood(configs: Path, run: Run) -> None:
    args = configs / "args.yaml"
    args.write_text(f"config_file: {configs / 'base.yaml'}\nepochs: 4\nout_file: {configs / 'out.txt'}\n")
    monai.bundle.run(args_file=str(args))
    assert (configs / "out.txt").read_text() == "8"
    tracking = {"handlers_id": {}, "configs": {"experiment_name": "e"}}
    run(tracking=tracking, save_execute_config=False, experiment_name="mine")
    assert "unknown override 'experiment'" in refusal(run, tracking=tracking, save_execute_config=False, experiment="x")


TRACKED = """
tracking_uri: null
output_dir: out
train: {trainer: {_target_: builtins.dict}, handlers: []}
run: ["$pathlib.Path(@out_file).write_text(str((@tracking_uri, len(@train::handlers))))"]
"""


@pytest.mark.parametrize(("given", "expected"), [({}, "sqlite:///out/mlflow.db"), ({"tracking_uri": "u"}, "u")])
def test_monai_s_tracking_is_the_knob(configs: Path, run: Run, given: dict[str, str], expected: str) -> None:
    (configs / "tracked.yaml").write_text(TRACKED)
    asked = {"tracking": "mlflow", "save_execute_config": False}
    assert run("base.yaml", "tracked.yaml", **asked, **given) == str((expected, 0))
    assert run("base.yaml", "tracked.yaml") == "(None, 0)"


def test_a_workflow_built_by_hand_is_compared_with_its_folder(configs: Path) -> None:
    file = str(configs / "base.yaml")
    ConfigWorkflow(config_file=file, epochs=2).initialize()
    with pytest.raises(RuntimeError) as caught:
        ConfigWorkflow(config_file=file, epoch=2).initialize()
    assert "did you mean 'epochs'?" in str(caught.value.__cause__)


def test_nothing_is_done_outside_of_a_workflow() -> None:
    refuse_unknown_overrides()
    ConfigParser({"a": {"_target_": "labelmine.run.overrides.refuse_unknown_overrides"}}).get_parsed_content("a")
