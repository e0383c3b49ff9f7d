"""Pictures that travel inside the page: cases with their outlines, thumbnails, and the legends that explain them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Literal

from markupsafe import Markup

from labelmine.evaluation.case import Case
from labelmine.progress import progress
from labelmine.report import overlays
from labelmine.report.page import CasePictures, Key, Picture


def embed(data: bytes, kind: Literal["png", "webp"], alt: str, title: str = "") -> Picture:
    """Turn an encoded picture into one that needs no file beside the page."""
    # Letters, digits and +/= alone: nothing that would have to be escaped, and no path although it may look like one.
    return Picture(Markup(f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"), alt, title)


def case_pictures(case: Case) -> CasePictures:
    """The image (with prompts, where there are any), then one picture for each prediction."""
    panels = []
    for prediction in (None, *case.predictions):
        title = overlays.panel_title(case, prediction)
        drawn = f"{'gold (solid) and ' if case.gold is not None else ''}{title} (dashed)" if prediction else title
        image = overlays.overlay(case, prediction, prompts=prediction is None)
        panels.append(embed(image, "webp", f"{case.id}: {drawn}", title))
    return CasePictures(case.id, case.caption, panels)


def case_keys(prompts: bool = False) -> list[Key]:
    """Legend of `case_pictures`; ``prompts``: whether it explains prompts too."""
    keys = [
        _key("solid: gold, the expert's outline", overlays.GOLD_STYLE),
        _key("dashed: the machine's outline", overlays.PREDICTION_STYLE),
    ]
    if prompts:
        keys += [
            _key("dotted: box prompt", overlays.PROMPT_STYLE),
            Key("\N{HEAVY GREEK CROSS} point inside, \N{HEAVY MULTIPLICATION X} point outside"),
        ]
    return keys


def thumbnails(cases: Iterable[Case], classes: Sequence[str] = ()) -> list[Picture]:
    """Small pictures of images with the outlines of their gold, for `Sheet`; the id and the caption stand below.

    Args:
        cases: One picture each, drawn as they come, so that a generator need not hold all images at once.
        classes: Names of the masks' channels, for those who cannot see the pictures.
    """
    pictures = []
    for case in progress(cases, "thumbnails", leave=False):
        title = f"{case.id}: {case.caption}" if case.caption else case.id
        pictures.append(embed(overlays.thumbnail(case), "webp", f"{case.id}: {_outlined(case, classes)}", title))
    return pictures


def class_keys(classes: Sequence[str]) -> list[Key]:
    """Legend of `thumbnails`."""
    styles = overlays.CLASS_STYLES
    return [_key(name, styles[index % len(styles)]) for index, name in enumerate(classes)]


def _outlined(case: Case, classes: Sequence[str]) -> str:
    """Say which classes are outlined."""
    if case.gold is None:
        return "no mask"
    channels = case.gold[None] if case.gold.ndim == 2 else case.gold
    names = classes or [f"class {index + 1}" for index in range(len(channels))]
    drawn = [name for name, channel in zip(names, channels, strict=True) if channel.any()]
    return f"outlines of {', '.join(drawn)}" if drawn else "empty mask"


def _key(label: str, style: overlays.Style) -> Key:
    return Key(label, style[0], style[2])
