"""What every self-contained page shares: templates, and pictures that travel inside the file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from labelmine.evaluation import figures
from labelmine.evaluation.context import Case

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Picture:
    """An embedded picture: data URL, what it shows for those who cannot see it, and its heading."""

    source: str
    alt: str
    title: str = ""


def render(template: str, view: Mapping[str, Any], templates: Path | None = None) -> str:
    """Fill a template; all values are escaped, and a value that is missing is an error.

    Args:
        template: File name.
        view: What the template names.
        templates: Folder to look in first; it may use ``parts.html.j2`` and ``style.css`` of this room.
    """
    loader = FileSystemLoader([folder for folder in (templates, _TEMPLATES) if folder])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(view)


def embed(data: bytes, kind: Literal["png", "webp"], alt: str, title: str = "") -> Picture:
    """Turn an encoded picture into one that needs no file beside the page."""
    return Picture(f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}", alt, title)


def panels(case: Case) -> list[Picture]:
    """The image (with prompts, where there are any), then one picture for each prediction."""
    pictures = []
    for prediction in (None, *case.predictions):
        title = figures.panel_title(case, prediction)
        drawn = f"{'gold (solid) and ' if case.gold is not None else ''}{title} (dashed)" if prediction else title
        image = figures.overlay(case, prediction, prompts=prediction is None)
        pictures.append(embed(image, "webp", f"{case.id}: {drawn}", title))
    return pictures
