"""The guard against mistyped overrides: MONAI adds an unknown key silently, so ``--epoch 5`` would change nothing."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS
from monai.utils import ensure_tuple

from labelmine.errors import ConfigError
from labelmine.run.config import callers, owner_on_stack
from labelmine.run.declared import SECTIONS


def refuse_unknown_overrides() -> None:
    """Stop a run whose overrides name a key that no config file has.

    Outside of a ``ConfigWorkflow`` there is nothing to compare, and nothing is done.

    Raises:
        ConfigError: Names the unknown keys, the nearest known ones and all knobs.
    """
    workflow = owner_on_stack(ConfigWorkflow)
    if workflow is None:
        return
    contents = _file_contents(workflow)
    declared = {key.removeprefix("+") for content in contents for key in content}
    unknown = sorted(set(workflow.parser.config) - declared - _added_by_monai())
    if unknown:
        raise ConfigError(_complaint(unknown, sorted(declared), _knobs(contents)))


def _creation() -> Mapping[str, Any]:
    """Local variables of MONAI's ``create_workflow``, through which both CLI and ``monai.bundle.run`` pass."""
    for frame in callers():
        if frame.f_code.co_name == "create_workflow" and frame.f_globals.get("__name__") == "monai.bundle.scripts":
            return frame.f_locals
    return {}


def _file_contents(workflow: ConfigWorkflow) -> list[dict[str, Any]]:
    """What each of the run's config files says, without overrides.

    A workflow keeps no list of its files. Built by hand, without ``create_workflow``, it is compared with all configs
    of its folder: that still catches a key that exists nowhere.
    """
    files = _creation().get("config_file")
    if files is None:
        folder = Path(workflow.config_root_path)
        files = sorted(str(file) for file in folder.iterdir() if file.suffix in {".json", ".yaml", ".yml"})
    return [ConfigParser.load_config_file(file) for file in ensure_tuple(files)]


def _added_by_monai() -> set[str]:
    """Keys that MONAI itself puts into a config: metadata always, experiment settings with ``tracking``."""
    tracking = _creation().get("_args", {}).get("tracking")
    if tracking is None:
        return {"_meta_"}
    settings = DEFAULT_EXP_MGMT_SETTINGS.get(tracking) if isinstance(tracking, str) else tracking
    settings = settings or ConfigParser.load_config_files(tracking)
    return {"_meta_", "output_dir", "save_execute_config", *settings["configs"]}


def follow_tracking(parser: ConfigParser) -> None:
    """Let MONAI's ``--tracking mlflow`` mean the knob ``tracking_uri``, which tells MLflow more than MONAI's handler.

    That one knows the loss alone, and only trainers that stand in a config.
    """
    if _creation().get("_args", {}).get("tracking") is None or "tracking_uri" not in parser.config:
        return
    handlers = parser.get("train::handlers") or []
    handlers[:] = [one for one in handlers if not (isinstance(one, dict) and one.get("_target_") == "MLFlowHandler")]
    if parser.get("tracking_uri") is None:
        parser["tracking_uri"] = f"sqlite:///{parser.get_parsed_content('output_dir')}/mlflow.db"


def _complaint(unknown: Sequence[str], declared: Sequence[str], knobs: Sequence[str]) -> str:
    parts = []
    for key in unknown:
        near = difflib.get_close_matches(key, knobs, n=1) or difflib.get_close_matches(key, declared, n=1)
        parts.append(f"'{key}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    return (
        f"unknown override {', '.join(parts)}: no config file of this run has that key; "
        f"the knobs are: {', '.join(knobs) or 'none'}"
    )


def _knobs(contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that a user would set, in the order of the files: those before each file's first section."""
    found: dict[str, None] = {}
    for content in contents:
        for key, value in itertools.takewhile(lambda pair: pair[0] not in SECTIONS, content.items()):
            if not (isinstance(value, dict) and "_target_" in value) and "::" not in key:
                found[key.removeprefix("+")] = None
    return list(found)
