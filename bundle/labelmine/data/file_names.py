"""What a file's name says beside its image's: ``x_mask.png`` and ``x_mask_1.png`` are masks of ``x``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

MASK_AFFIXES = (
    "mask", "masks", "label", "labels", "lbl", "seg", "segm", "segmentation", "segmentations", "gt", "groundtruth",
    "ground_truth", "ground truth", "annotation", "annotations", "annot", "anno", "manual", "lesion",
)  # fmt: skip
IMAGE_AFFIXES = ("image", "img", "im", "orig", "original", "raw", "input", "volume", "vol", "scan", "imaging")
#: Number of a further mask of one image: ``_1``, ``-2``, `` (1)``.
_NUMBER = r"(?P<number>[_\- ]?\(?\d{1,2}\)?)"
_BARE_NUMBER = r"[_\- ]\(?\d{1,2}\)?"
#: nnU-Net's number of a channel.
CHANNEL = re.compile(r"(?P<core>.+)_(?P<channel>\d{4})")


@dataclass(frozen=True)
class Stem:
    """One way to read a file's stem.

    Attributes:
        core: What may be an image's name; empty where the stem is a role alone (``case1/mask.png``).
        style: The stem with ``{id}`` in place of the core.
        numbered: Whether a number, that of a further mask, was left out.
    """

    core: str
    style: str
    numbered: bool = False


def composed(name: str) -> str:
    """Compose accents (NFC): macOS stores letter and accent apart."""
    return unicodedata.normalize("NFC", name)


def mask_stems(stem: str) -> list[Stem]:
    """Ways to read a mask's stem, the plainest first; a bare number counts only as the last.

    Example:
        >>> [(way.core, way.style, way.numbered) for way in mask_stems("x_mask_1")]
        [('x_mask_1', '{id}', False), ('x', '{id}_mask', True), ('x_mask', '{id}', True)]
    """
    ways = [Stem(stem, "{id}"), *_without_affix(stem, MASK_AFFIXES)]
    bare = re.fullmatch(rf"(?P<core>.+?){_BARE_NUMBER}", stem)
    return [*ways, Stem(bare["core"], "{id}", True)] if bare else ways


def named_masks(stem: str) -> list[Stem]:
    """Ways to read a stem that calls itself a mask; none where it does not."""
    return list(_without_affix(stem, MASK_AFFIXES))


def image_stems(stem: str, channels: bool = False) -> list[Stem]:
    """Ways to read an image's stem: as it is, without ``_image``, without nnU-Net's channel where there are any."""
    ways = [Stem(stem, "{id}"), *(way for way in _without_affix(stem, IMAGE_AFFIXES) if not way.numbered)]
    channel = CHANNEL.fullmatch(stem) if channels else None
    return [*ways, Stem(channel["core"], f"{{id}}_{channel['channel']}")] if channel else ways


def _without_affix(stem: str, words: Iterable[str]) -> Iterable[Stem]:
    for numbered in (False, True):
        behind, before, alone = _affix_patterns(tuple(words), numbered)
        if match := behind.fullmatch(stem):
            yield Stem(match["core"], "{id}" + match["affix"], numbered)
        elif not numbered and (match := before.fullmatch(stem)):
            yield Stem(match["core"], match["affix"] + "{id}")
        elif match := alone.fullmatch(stem):
            yield Stem("", match["affix"], numbered)


@lru_cache
def _affix_patterns(words: tuple[str, ...], numbered: bool) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Patterns of a word behind a name, in front of it, and alone."""
    word = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    number = _NUMBER if numbered else ""
    expressions = (
        rf"(?P<core>.+?)(?P<affix>[_\-. ]+(?:{word})){number}",
        rf"(?P<affix>(?:{word})[_\-. ]+)(?P<core>.+)",
        rf"(?P<affix>{word}){number}",
    )
    behind, before, alone = (re.compile(expression, re.IGNORECASE) for expression in expressions)
    return behind, before, alone
