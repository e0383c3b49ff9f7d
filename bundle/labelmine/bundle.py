"""Where the bundle's files lie, and the guard against mistyped overrides."""

from __future__ import annotations

import difflib
import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from labelmine.errors import ConfigError, LabelmineError

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

# In each config the knobs stand first; the first of these ends them.
_SECTIONS = frozenset({"imports", "initialize", "run", "finalize"})


def bundle_root() -> Path:
    """Find the folder that holds ``configs/`` and ``models/``.

    That is ``labelmine/_bundle`` in an installed wheel, the zip's root when run from an unpacked release, and the
    repository's root in a checkout.

    Raises:
        ConfigError: No ``configs/metadata.json`` in any of the three places.

    Example:
        >>> (bundle_root() / "configs" / "metadata.json").is_file()
        True
    """
    package = Path(__file__).resolve().parent
    places = (package / "_bundle", package.parent, package.parent.parent)
    for place in places:
        if (place / "configs" / "metadata.json").is_file():
            return place
    raise ConfigError(
        f"expected configs/metadata.json in one of {', '.join(map(str, places))}, found none; "
        "reinstall labelmine, or unpack the whole release zip"
    )


def refuse_unknown_overrides() -> None:
    """Stop a run whose overrides name a key that no config file has; first in each config's ``initialize``.

    MONAI adds such a key silently, so ``--epoch 5`` would run with the default of ``epochs``. Outside of a
    ``ConfigWorkflow`` there is nothing to compare, and nothing is done. On the command line it also sees to it that
    labelmine's errors are said last (see `say_error_last`).

    Raises:
        ConfigError: Names the unknown keys, the nearest known ones and all knobs.
    """
    frames = list(_callers(inspect.currentframe()))
    workflow = _running_workflow(frames)
    if workflow is None:
        return
    if _on_command_line():
        say_error_last()
    contents = _file_contents(workflow, frames)
    declared = {key.removeprefix("+") for content in contents for key in content}
    unknown = sorted(set(workflow.parser.config) - declared - _added_by_monai(frames))
    if unknown:
        raise ConfigError(_complaint(unknown, sorted(declared), _knobs(contents)))


def flag(value: bool | str) -> bool:
    """Read a yes-or-no knob: the command line hands ``--refine false`` over as a word, which Python holds for true.

    Raises:
        ConfigError: Neither true nor false.

    Example:
        >>> flag("false"), flag(True)
        (False, True)
    """
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ConfigError(f"expected a knob to be true or false, got {value!r}")
    return word == "true"


def say_error_last() -> None:
    """Print a labelmine error once more below the traceback.

    MONAI wraps whatever a config raises in ``RuntimeError: Failed to evaluate ...``, which leaves the line that says
    how to mend it far above the end of the output.
    """
    previous = sys.excepthook
    if getattr(previous, "says_error_last", False):
        return

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        previous(kind, error, trace)
        cause = error.__cause__
        while cause is not None and not isinstance(cause, LabelmineError):
            cause = cause.__cause__
        if cause is not None:
            sys.stderr.write(f"\n{type(cause).__name__}: {cause}\n")

    hook.says_error_last = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def _on_command_line() -> bool:
    """Whether ``python -m monai.bundle`` is the program, and not some other that calls ``monai.bundle.run``."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", None) == "monai.bundle.__main__"


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _running_workflow(frames: Sequence[FrameType]) -> ConfigWorkflow | None:
    """The innermost workflow on the call stack.

    A config's expressions get no handle on their parser or workflow, so the stack is the only way to it.
    """
    from monai.bundle import ConfigWorkflow  # here, to keep ``import labelmine`` light

    owners = (frame.f_locals.get("self") for frame in frames)
    return next((owner for owner in owners if isinstance(owner, ConfigWorkflow)), None)


def _creation(frames: Sequence[FrameType]) -> Mapping[str, Any]:
    """Local variables of MONAI's ``create_workflow``, through which both CLI and ``monai.bundle.run`` pass."""
    for frame in frames:
        if frame.f_code.co_name == "create_workflow" and frame.f_globals.get("__name__") == "monai.bundle.scripts":
            return frame.f_locals
    return {}


def _file_contents(workflow: ConfigWorkflow, frames: Sequence[FrameType]) -> list[dict[str, Any]]:
    """What each of the run's config files says, without overrides.

    A workflow keeps no list of its files. Built by hand, without ``create_workflow``, it is compared with all configs
    of its folder: that still catches a key that exists nowhere.
    """
    from monai.bundle import ConfigParser
    from monai.utils import ensure_tuple

    files = _creation(frames).get("config_file")
    if files is None:
        folder = Path(workflow.config_root_path)
        files = sorted(str(file) for file in folder.iterdir() if file.suffix in {".json", ".yaml", ".yml"})
    return [ConfigParser.load_config_file(file) for file in ensure_tuple(files)]


def _added_by_monai(frames: Sequence[FrameType]) -> set[str]:
    """Keys that MONAI itself puts into a config: metadata always, experiment settings with ``tracking``."""
    from monai.bundle import ConfigParser
    from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

    tracking = _creation(frames).get("_args", {}).get("tracking")
    if tracking is None:
        return {"_meta_"}
    settings = DEFAULT_EXP_MGMT_SETTINGS.get(tracking) if isinstance(tracking, str) else tracking
    settings = settings or ConfigParser.load_config_files(tracking)
    return {"_meta_", "output_dir", "save_execute_config", *settings["configs"]}


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
        for key, value in itertools.takewhile(lambda pair: pair[0] not in _SECTIONS, content.items()):
            if not (isinstance(value, dict) and "_target_" in value) and "::" not in key:
                found[key.removeprefix("+")] = None
    return list(found)
