"""The teacher of a finished run, as its settings tell: who labelled is who answers to corrections."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import labelmine.teachers
from labelmine.errors import ConfigError
from labelmine.labelers.fitted import kept_decoder
from labelmine.teachers import Teacher, build_cached_teacher
from labelmine.teachers.fitted import load_fitted

logger = logging.getLogger(__name__)

_ROOM = "labelmine.teachers."


def run_teacher(
    settings: Mapping[str, Any], model_dir: Path, device: Any, cache: str | None, max_gb: float
) -> Teacher | None:
    """Build the teacher that a run's ``config.yaml`` names, with the decoder that the run fitted and kept.

    Only what builds teachers is built, from plain values: a folder that someone sent cannot run code of its own.

    Args:
        settings: Of the labelled run.
        model_dir: Folder of the run whose student labelled, which holds the fitted decoder.
        device: Where it computes.
        cache: See ``build_cached_teacher``.
        max_gb: See ``build_cached_teacher``.

    Returns:
        The teacher; None where the settings name none.

    Raises:
        ConfigError: A teacher of another kind.
        WeightsError: Its weights are not there any more.
    """
    section = settings.get("teacher")
    if not isinstance(section, Mapping):
        logger.info("the run names no teacher: labels can be corrected by brush and eraser alone")
        return None
    target = str(section.get("_target_", ""))
    builder = getattr(labelmine.teachers, target.removeprefix(_ROOM), None)
    if not target.startswith(f"{_ROOM}build_") or builder is None:
        raise ConfigError(f"teacher: expected a builder of {_ROOM[:-1]} in the run's config.yaml. Got: {target!r}")
    known = {**settings, "device": device}
    teacher = builder(**{key: _value(key, text, known) for key, text in section.items() if key != "_target_"})
    cached = build_cached_teacher(teacher, cache, max_gb)
    decoder = kept_decoder(model_dir)
    return cached if decoder is None else load_fitted(cached, decoder)


def _value(key: str, text: Any, known: Mapping[str, Any]) -> Any:
    """Return a plain value, or the knob that ``@name`` stands for."""
    if not isinstance(text, str) or text[:1] not in {"@", "$", "%"}:
        return text
    if text[0] == "@" and text[1:] in known:
        return known[text[1:]]
    raise ConfigError(f"teacher::{key}: expected a plain value or the name of a knob. Got: {text!r}")
