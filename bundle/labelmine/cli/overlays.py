"""Overlays of ``configs/``, found by name: ``teacher_sam.yaml`` is ``--teacher sam``, ``cpu.yaml`` is ``--cpu``."""

from __future__ import annotations

import difflib
from pathlib import Path

from labelmine.bundle import bundle_root
from labelmine.errors import ConfigError
from labelmine.run.declared import DeclaredKnob, declared_knobs, top_level_keys

#: Seams that overlays choose between, each with the name of what the workflows have without an overlay.
CHOICES = {"teacher": "compact", "labeler": "prompted"}


def config_file(name: str) -> Path:
    """Return the path of a config of the bundle by its name without ``.yaml``."""
    return bundle_root() / "configs" / f"{name}.yaml"


def overlay_names() -> list[str]:
    """Names of all overlays: configs that run nothing by themselves."""
    files = sorted((bundle_root() / "configs").glob("*.yaml"))
    return [file.stem for file in files if "run" not in top_level_keys(file)]


def choices_of(seam: str) -> list[str]:
    """Return what may be chosen for a seam, the default first, with hyphens.

    Example:
        >>> choices_of("teacher")[:2]
        ['compact', 'hugging-face']
    """
    found = [name.removeprefix(f"{seam}_") for name in overlay_names() if name.startswith(f"{seam}_")]
    return [CHOICES[seam], *(name.replace("_", "-") for name in found)]


def chosen_overlay(seam: str, choice: str) -> Path | None:
    """Return the overlay that a choice stands for; None: the workflow has it without one."""
    return None if choice == CHOICES[seam] else config_file(f"{seam}_{choice.replace('-', '_')}")


def switches() -> list[str]:
    """Names of the overlays that are no choice for a seam, and are switched on: ``cpu``, ``multi_gpu``."""
    return [name for name in overlay_names() if not name.startswith(tuple(f"{seam}_" for seam in CHOICES))]


def overlay_by_name_or_path(text: str) -> Path:
    """Return an overlay given by the path of its file, or by its name in ``configs/``.

    Raises:
        ConfigError: Neither; names the nearest.
    """
    if Path(text).is_file():
        return Path(text)
    names = overlay_names()
    if text in names:
        return config_file(text)
    near = difflib.get_close_matches(text, names, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"the overlays are: {', '.join(names)}"
    raise ConfigError(f"expected an overlay's file or name, got {text!r}, which is neither; {advice}")


def knobs_of(files: list[Path]) -> list[DeclaredKnob]:
    """Read the knobs of a workflow and its overlays, in the order of the files.

    A knob that an overlay sets anew keeps place and comment, with the overlay's default. What an overlay replaces
    beyond the workflow's knobs is a seam, and no knob.

    Args:
        files: The workflow's config first.

    Raises:
        ConfigError: A file that cannot be read.
    """
    found = {knob.name: knob for knob in declared_knobs(files[0])}
    seams = top_level_keys(files[0]) - set(found)
    for file in files[1:]:
        for knob in declared_knobs(file):
            if knob.name not in seams:
                found[knob.name] = _on_top(knob, found.get(knob.name), file)
    return list(found.values())


def _on_top(knob: DeclaredKnob, below: DeclaredKnob | None, file: Path) -> DeclaredKnob:
    if below is None:
        return DeclaredKnob(knob.name, knob.default, knob.help, f"of {file.name}")
    return DeclaredKnob(knob.name, knob.default, below.help or knob.help, below.section)
