"""The ``mask_pattern`` knob: where the mask of an image lies, where names alone do not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from labelmine.data.file_names import composed
from labelmine.data.headers import without_suffix
from labelmine.errors import ConfigError

ARROW = "->"
_TOKEN = re.compile(r"\{([A-Za-z]+)\}|(\*)")
_OWN_NAMES = ({"id"}, {"folder", "name"}, {"name"})

Names = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MaskPattern:
    """Where masks lie: a path relative to the set, with ``{id}`` for the image's id.

    - ``gt/{id}_mask.png``: the mask of image ``p1/a`` is ``gt/p1/a_mask.png``. Without ``.png``, of any format.
    - ``{folder}/masks/{name}``: the id in two parts, so that image ``p1/a`` has ``p1/masks/a``; ``{name}`` alone: the
      image of that name, wherever it lies.
    - ``gt/{id}_mask*``: ``*`` stands for any text without a slash; all masks of an image are united.
    - ``imagesTr/{id}_0000 -> labelsTr/{id}``: images first, where they are to be chosen as well; what stands for the
      names is free, and the same on both sides.
    - ``{id} ->``: all files are images without masks.

    All else is taken as it stands, brackets and question marks too.

    Example:
        >>> pattern = MaskPattern.parse("gt/{id}_mask.png")
        >>> list(pattern.names_of_mask(PurePosixPath("gt/p1/a_mask.png")))
        [(('id', 'p1/a'),)]
    """

    text: str
    image: str | None
    mask: str

    @classmethod
    def parse(cls, text: str) -> MaskPattern:
        """Read the knob.

        Raises:
            ConfigError: A text that says nothing of names, or whose sides do not speak of the same.
        """
        image, arrow, mask = composed(text).rpartition(ARROW)
        pattern = cls(text, image.strip() if arrow else None, mask.strip())
        on_mask = set(re.findall(r"\{(\w*)\}", pattern.mask))
        on_image = set(re.findall(r"\{(\w*)\}", image)) if arrow else on_mask
        fits = on_mask == on_image or not pattern.mask
        if not on_image or not fits or (not arrow and on_mask not in _OWN_NAMES):
            raise ConfigError(
                "mask_pattern: expected the path of a mask below dataset_dir with {id} (or {folder} and {name}) for "
                "the image's id, as 'gt/{id}_mask.png', or images and masks with the same names in braces, as "
                f"'imagesTr/{{id}}_0000 -> labelsTr/{{id}}'; got {text!r}"
            )
        return pattern

    def names_of_mask(self, path: PurePosixPath) -> Iterator[Names]:
        """Yield what the names would be if this is a mask, the longest first; nothing if it is none."""
        yield from _matches(self.mask, path) if self.mask else ()

    def names_of_image(self, path: PurePosixPath, image_id: str) -> Names | None:
        """Return the names of an image; ``None`` where the pattern leaves it out."""
        if self.image is not None:
            return next(_matches(self.image, path), None)
        whole = PurePosixPath(composed(image_id))
        parts = {"id": str(whole), "folder": str(whole.parent), "name": whole.name}
        return tuple((name, parts[name]) for name in sorted(set(re.findall(r"\{(\w+)\}", self.mask))))


def _matches(pattern: str, path: PurePosixPath) -> Iterator[Names]:
    shown = PurePosixPath(composed(str(path)))
    any_format = without_suffix(PurePosixPath(pattern)) == PurePosixPath(pattern)
    text = str(without_suffix(shown) if any_format else shown)
    seen = set()
    for greedy in ("", "?"):
        match = re.fullmatch(_expression(pattern, greedy), text)
        names = tuple(sorted(match.groupdict().items())) if match else ()
        if match and names not in seen:
            seen.add(names)
            yield names


def _expression(pattern: str, greedy: str) -> str:
    """Turn a pattern into a regular expression; all but names and stars is literal."""
    known: set[str] = set()
    parts, end = [], 0
    for token in _TOKEN.finditer(pattern):
        parts.append(re.escape(pattern[end : token.start()]))
        name = token[1]
        if token[2]:
            parts.append("[^/]*")
        elif name in known:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>{'.' if name in ('id', 'folder') else '[^/]'}+{greedy})")
            known.add(name)
        end = token.end()
    return "".join([*parts, re.escape(pattern[end:])])
